//! The login of gcloud, by way of `gcp_auth`, which runs `gcloud auth print-access-token`.

use std::time::Duration;

use gcp_auth::{GCloudAuthorizedUser, TokenProvider};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::credentials::{CredentialsError, chain};

/// The token that gcloud prints now; it does not say how long that lasts.
pub(super) async fn token(patience: Duration) -> Result<String, CredentialsError> {
    beside(patience, ask).await
}

fn ask() -> Result<String, String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .map_err(|e| e.to_string())?;
    // A login holds one token for an hour, however much of its life was over: each is made anew.
    let printed = runtime.block_on(async {
        let login = GCloudAuthorizedUser::new().await?;
        login.token(&[]).await
    });
    match printed {
        Ok(token) => Ok(token.as_str().to_owned()),
        Err(error) => Err(chain(&error)),
    }
}

/// The crate waits for gcloud where it stands, so it does that on a thread of its own. Nobody waits for the
/// thread: a gcloud that hangs holds up neither the run nor its end.
async fn beside(
    patience: Duration,
    ask: impl FnOnce() -> Result<String, String> + Send + 'static,
) -> Result<String, CredentialsError> {
    let brought_none = |why: &str| {
        CredentialsError::lasting(format!(
            "`gcloud auth print-access-token` brought no token: {why}"
        ))
    };
    let (told, heard) = oneshot::channel();
    // Whoever asked may be gone by then.
    let work = move || drop(told.send(ask()));
    std::thread::Builder::new()
        .name("gcloud".into())
        .spawn(work)
        .map_err(|e| brought_none(&e.to_string()))?;
    match timeout(patience, heard).await {
        Ok(Ok(answer)) => answer.map_err(|why| brought_none(&why)),
        Ok(Err(_)) => Err(brought_none("it broke off")),
        Err(_) => Err(brought_none(&format!(
            "it did not end within {}ms",
            patience.as_millis()
        ))),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    /// What `beside` says within a process that ends at once.
    fn said(ask: impl FnOnce() -> Result<String, String> + Send + 'static) -> String {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .expect("a runtime");
        match runtime.block_on(beside(Duration::from_millis(50), ask)) {
            Ok(token) => token,
            Err(error) => {
                assert!(!error.passing);
                error.why
            }
        }
    }

    #[test]
    fn a_gcloud_that_hangs_is_left_behind() {
        let (end, until) = channel::<()>();
        let why = said(move || {
            let _ = until.recv();
            Ok("late".into())
        });
        assert!(why.ends_with("did not end within 50ms"), "{why}");
        end.send(()).expect("it is still there");
    }

    #[test]
    fn a_gcloud_that_breaks_is_no_end_of_the_run() {
        assert_eq!(said(|| Ok("printed".into())), "printed");
        let why = said(|| Err("no gcloud".into()));
        assert!(why.ends_with("brought no token: no gcloud"), "{why}");
    }
}
