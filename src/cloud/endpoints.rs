//! Which URL a service's requests go to.

use std::collections::BTreeMap;

use reqwest::Url;

/// Why an endpoint cannot be used; a misuse of the command line or the environment.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    #[error("`{url}` is no endpoint: {why}; expected something like https://host:8443/path")]
    BadUrl { url: String, why: String },
    #[error("`{0}` names no service before `=`; expected SERVICE=URL, or a URL for all services")]
    NoService(String),
    #[error("there is no service `{service}` in the catalogue{}", near(.nearest))]
    UnknownService {
        service: String,
        nearest: Option<String>,
    },
}

fn near(candidate: &Option<String>) -> String {
    candidate
        .as_ref()
        .map(|c| format!("; did you mean `{c}`?"))
        .unwrap_or_default()
}

/// Where one service's requests go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Ends with a slash.
    pub root: Url,
    /// Given by the user, so that a shared host may want to know the service.
    pub overridden: bool,
}

/// Google's own roots, and what the user put in their place.
///
/// A flag wins over the environment; an endpoint for one service wins over one for all.
#[derive(Clone, Debug, Default)]
pub struct Endpoints {
    defaults: BTreeMap<String, Url>,
    overrides: BTreeMap<String, Url>,
    everything: Option<Url>,
}

const PREFIX: &str = "R5FLOW_ENDPOINT";

impl Endpoints {
    /// `defaults` are the catalogue's services and their root URLs.
    pub fn new<'a>(
        defaults: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Endpoints, EndpointError> {
        let defaults = defaults
            .into_iter()
            .map(|(service, root)| Ok((service.to_owned(), root_url(root)?)))
            .collect::<Result<_, _>>()?;
        Ok(Endpoints {
            defaults,
            ..Endpoints::default()
        })
    }

    /// Reads the value of one `--endpoint`: `SERVICE=URL`, or `URL` for all services.
    pub fn add_flag(&mut self, flag: &str) -> Result<(), EndpointError> {
        if flag.starts_with("http://") || flag.starts_with("https://") {
            self.everything = Some(root_url(flag)?);
            return Ok(());
        }
        match flag.split_once('=') {
            Some((service, url)) if !service.is_empty() => {
                let service = self.known(service)?;
                self.overrides.insert(service, root_url(url)?);
                Ok(())
            }
            _ => Err(EndpointError::NoService(flag.into())),
        }
    }

    /// Reads `R5FLOW_ENDPOINT_<SERVICE>` and `R5FLOW_ENDPOINT` where no flag said otherwise; call it
    /// after the flags. Empty values count as absent.
    pub fn add_environment(
        &mut self,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<(), EndpointError> {
        let for_all = self.everything.is_some();
        for (name, value) in variables {
            let Some(rest) = name.strip_prefix(PREFIX).filter(|_| !value.is_empty()) else {
                continue;
            };
            match rest.strip_prefix('_') {
                _ if for_all => {}
                None if rest.is_empty() => self.everything = Some(root_url(&value)?),
                None => {}
                Some(service) => {
                    let service = self.known(&service.to_ascii_lowercase())?;
                    let url = root_url(&value)?;
                    self.overrides.entry(service).or_insert(url);
                }
            }
        }
        Ok(())
    }

    /// Where a service's requests go.
    pub fn target(&self, service: &str) -> Result<Target, EndpointError> {
        if let Some(root) = self.overrides.get(service).or(self.everything.as_ref()) {
            return Ok(Target {
                root: root.clone(),
                overridden: true,
            });
        }
        match self.defaults.get(service) {
            Some(root) => Ok(Target {
                root: root.clone(),
                overridden: false,
            }),
            None => Err(self.unknown(service)),
        }
    }

    /// Every override as text, for the world that a run is pinned to: `*` stands for all services.
    pub fn overridden(&self) -> BTreeMap<String, String> {
        let all = self
            .everything
            .iter()
            .map(|url| ("*".to_owned(), url.to_string()));
        let some = self
            .overrides
            .iter()
            .map(|(s, url)| (s.clone(), url.to_string()));
        all.chain(some).collect()
    }

    /// The catalogue's spelling of a service.
    fn known(&self, service: &str) -> Result<String, EndpointError> {
        self.defaults
            .keys()
            .find(|known| known.eq_ignore_ascii_case(service))
            .cloned()
            .ok_or_else(|| self.unknown(service))
    }

    fn unknown(&self, service: &str) -> EndpointError {
        let nearest = crate::diag::nearest(service, self.defaults.keys().map(String::as_str));
        EndpointError::UnknownService {
            service: service.into(),
            nearest: nearest.map(str::to_owned),
        }
    }
}

/// A URL to which paths can be joined.
fn root_url(text: &str) -> Result<Url, EndpointError> {
    let bad = |why: &str| EndpointError::BadUrl {
        url: text.into(),
        why: why.into(),
    };
    let mut url = Url::parse(text).map_err(|e| bad(&e.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(bad("only http and https are spoken"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(EndpointError::BadUrl {
            url: format!(
                "{}://…@{}",
                url.scheme(),
                url.host_str().unwrap_or_default()
            ),
            why: "a user or password does not belong into it".into(),
        });
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(bad("it has a query or fragment"));
    }
    if !url.path().ends_with('/') {
        let path = format!("{}/", url.path());
        url.set_path(&path);
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoints() -> Endpoints {
        Endpoints::new([
            ("compute", "https://compute.googleapis.com/"),
            ("sqladmin", "https://sqladmin.googleapis.com/"),
        ])
        .expect("good roots")
    }

    fn root(endpoints: &Endpoints, service: &str) -> (String, bool) {
        let target = endpoints.target(service).expect("a target");
        (target.root.to_string(), target.overridden)
    }

    fn vars(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs
            .iter()
            .map(|(k, v)| (k.to_string(), v.to_string()))
            .collect()
    }

    #[test]
    fn one_service_wins_over_all_and_all_over_google() {
        let mut e = endpoints();
        assert_eq!(
            root(&e, "compute"),
            ("https://compute.googleapis.com/".into(), false)
        );
        e.add_flag("http://127.0.0.1:8080/a=b").expect("good");
        e.add_flag("compute=http://[::1]:9/x").expect("good");
        assert_eq!(root(&e, "compute"), ("http://[::1]:9/x/".into(), true));
        assert_eq!(
            root(&e, "sqladmin"),
            ("http://127.0.0.1:8080/a=b/".into(), true)
        );
        assert_eq!(e.overridden().keys().collect::<Vec<_>>(), ["*", "compute"]);
    }

    #[test]
    fn flags_win_over_the_environment() {
        let mut e = endpoints();
        e.add_flag("compute=http://flag").expect("good");
        let set = vars(&[
            ("R5FLOW_ENDPOINT_COMPUTE", "http://env"),
            ("R5FLOW_ENDPOINT_SQLADMIN", "http://env"),
            ("HOME", "/"),
        ]);
        e.add_environment(set.clone()).expect("good");
        assert_eq!(root(&e, "compute").0, "http://flag/");
        assert_eq!(root(&e, "sqladmin").0, "http://env/");
        let mut e = endpoints();
        e.add_flag("http://flag").expect("good");
        e.add_environment(set).expect("good");
        assert_eq!(root(&e, "sqladmin").0, "http://flag/");
    }

    #[test]
    fn mistakes_are_named() {
        let mut e = endpoints();
        let mut text = |flag: &str| e.add_flag(flag).expect_err("bad").to_string();
        assert_eq!(
            text("compue=http://x"),
            "there is no service `compue` in the catalogue; did you mean `compute`?"
        );
        assert!(text("localhost:8080").contains("names no service"));
        assert!(text("compute=ftp://x").contains("only http and https"));
        assert!(text("compute=nonsense").contains("`nonsense` is no endpoint"));
        assert!(text("http://x/?a=b").contains("query"));
        assert!(!text("http://me:hunter2@x/").contains("hunter2"));
        assert!(
            endpoints()
                .add_environment(vars(&[("R5FLOW_ENDPOINT_NO", "http://x")]))
                .is_err()
        );
    }
}
