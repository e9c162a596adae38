//! Managed certificates: PROVISIONING until the domain points at the load balancer, and the chain
//! certificate → HTTPS proxy → forwarding rule on port 443 stands.
//!
//! Source: Google's "Troubleshoot SSL certificates" and the API description of
//! `SslCertificateManagedSslCertificate`.

use serde_json::{Value as Json, json};

use super::super::refs;
use super::super::refusal::Refusal;
use super::super::scenario::{Dns, DnsMode, Pointing};
use super::super::timing::Happening;
use super::super::world::{Due, Object, World};
use super::rules::Rule;
use super::{dns, path_of};

/// What `r5flow sim --explain` tells of this file.
pub const RULES: &[Rule] = &[Rule {
    of: &["compute.sslCertificates"],
    says: "a managed certificate stays PROVISIONING until its domains point at the address and the chain proxy, rule, port 443 stands",
    source: "Google, \"Troubleshoot SSL certificates\"; API description of `SslCertificateManagedSslCertificate`",
    test: "from_a_running_machine_to_an_active_certificate",
}];

/// # Errors
/// A managed certificate without domains, or with a wildcard, which only Certificate Manager issues.
pub fn prepare(world: &mut World, body: &mut Object) -> Result<(), Refusal> {
    let _ = world;
    let own = body.contains_key("certificate") || body.contains_key("selfManaged");
    let kind = body
        .get("type")
        .and_then(Json::as_str)
        .unwrap_or(if own { "SELF_MANAGED" } else { "MANAGED" })
        .to_string();
    body.insert("type".into(), json!(kind));
    body.shift_remove("privateKey");
    if kind != "MANAGED" {
        return match own {
            true => Ok(()),
            false => Err(Refusal::required("resource.certificate")),
        };
    }
    let Some(managed) = body.get_mut("managed").and_then(Json::as_object_mut) else {
        return Err(Refusal::required("resource.managed"));
    };
    let domains = managed
        .get("domains")
        .and_then(Json::as_array)
        .cloned()
        .unwrap_or_default();
    if domains.is_empty() {
        return Err(Refusal::required("resource.managed.domains"));
    }
    for domain in domains.iter().filter_map(Json::as_str) {
        if domain.contains('*') || !domain.contains('.') {
            return Err(Refusal::invalid(
                "resource.managed.domains",
                domain,
                "Invalid domain name specified.",
            ));
        }
    }
    managed.insert("status".into(), json!("PROVISIONING"));
    let status: Object = domains
        .iter()
        .filter_map(Json::as_str)
        .map(|d| (d.to_string(), json!("PROVISIONING")))
        .collect();
    managed.insert("domainStatus".into(), Json::Object(status));
    Ok(())
}

fn domains(body: &Object) -> Vec<String> {
    body.get("managed")
        .and_then(|m| m.get("domains"))
        .and_then(Json::as_array)
        .map(|d| {
            d.iter()
                .filter_map(Json::as_str)
                .map(str::to_string)
                .collect()
        })
        .unwrap_or_default()
}

/// The addresses of the forwarding rules on port 443 whose proxy shows this certificate.
fn served_at(world: &World, certificate: &str) -> Vec<String> {
    let path = path_of(certificate);
    let Some(project) = refs::project_of(path) else {
        return Vec::new();
    };
    let link = refs::link(path);
    let proxies = format!("compute/projects/{project}/global/targetHttpsProxies/");
    let rules = format!("compute/projects/{project}/global/forwardingRules/");
    let mut found = Vec::new();
    for (key, proxy) in world.of("compute.targetHttpsProxies", &proxies) {
        let shown = proxy.body.get("sslCertificates").and_then(Json::as_array);
        if !shown.is_some_and(|c| c.iter().any(|c| c.as_str() == Some(&link))) {
            continue;
        }
        let target = refs::link(path_of(key));
        for (_, rule) in world.of("compute.globalForwardingRules", &rules) {
            if rule.text("target") == target && rule.text("portRange") == "443-443" && !rule.dying {
                found.push(rule.text("IPAddress").to_string());
            }
        }
    }
    found
}

/// Whether a domain points at one of the addresses now, and how long until it does otherwise.
fn points_at(world: &World, domain: &str, addresses: &[String]) -> bool {
    if dns::address_of(world, domain).is_some_and(|a| addresses.contains(&a)) {
        return true;
    }
    let mode = match &world.scenario.dns {
        Dns::Mode(mode) => *mode,
        Dns::Table(table) => match table.get(domain) {
            Some(Pointing::Mode(mode)) => *mode,
            Some(Pointing::Address(address)) => return addresses.contains(address),
            None => return false,
        },
    };
    match mode {
        DnsMode::Follows => true,
        DnsMode::AfterApproval => world.approved.is_some(),
    }
}

fn follows(world: &World, domain: &str) -> bool {
    match &world.scenario.dns {
        Dns::Mode(mode) => *mode == DnsMode::Follows,
        Dns::Table(table) => matches!(table.get(domain), Some(Pointing::Mode(DnsMode::Follows))),
    }
}

fn visible(world: &World, key: &str) -> bool {
    let addresses = served_at(world, key);
    let Some(certificate) = world.live(key) else {
        return false;
    };
    !addresses.is_empty()
        && domains(&certificate.body)
            .iter()
            .all(|d| points_at(world, d, &addresses) && fails(world, d).is_none())
}

/// Why no authority issues for a domain that points here (`domainStatus`, API description).
fn fails<'a>(world: &'a World, domain: &str) -> Option<&'a str> {
    let failures = &world.scenario.certificate_failures;
    failures.get(domain).map(String::as_str)
}

/// Looks at every certificate that waits; called whenever something changed that it may wait for.
pub fn review(world: &mut World) {
    let waiting: Vec<String> = world
        .resources
        .iter()
        .filter(|(_, r)| &*r.collection == "compute.sslCertificates" && !r.dying)
        .filter(|(_, r)| status(&r.body) == "PROVISIONING")
        .map(|(key, _)| key.clone())
        .collect();
    for key in waiting {
        let due = Due::CertificateIssued(key.clone());
        if world.is_scheduled(&due) || !visible(world, &key) {
            continue;
        }
        let lag = world
            .live(&key)
            .map(|c| domains(&c.body).iter().any(|d| follows(world, d)))
            .unwrap_or(false);
        let mut at = world.now.plus(world.takes(Happening::CertificateIssue));
        if lag {
            at = at.plus(world.takes(Happening::DnsFollows));
        }
        world.schedule(at, due);
    }
}

fn status(body: &Object) -> &str {
    body.get("managed")
        .and_then(|m| m.get("status"))
        .and_then(Json::as_str)
        .unwrap_or("")
}

/// Issues a certificate, unless what it needs was taken away meanwhile.
pub fn issued(world: &mut World, key: &str) {
    if !visible(world, key) {
        return;
    }
    let expires = world.now.plus(crate::world::Millis(90 * 86_400_000));
    if let Some(certificate) = world.resources.get_mut(key) {
        let names = domains(&certificate.body);
        if let Some(managed) = certificate.body.get_mut("managed") {
            managed["status"] = json!("ACTIVE");
            let active: Object = names.iter().map(|d| (d.clone(), json!("ACTIVE"))).collect();
            managed["domainStatus"] = Json::Object(active);
        }
        certificate
            .body
            .insert("subjectAlternativeNames".into(), json!(names));
        certificate.body.insert(
            "expireTime".into(),
            json!(super::super::world::pacific(expires)),
        );
    }
}

/// After a quarter of an hour a domain that does not point here is named; the certificate itself keeps
/// trying.
pub fn view(world: &World, key: &str, body: &mut Object) {
    let Some(born) = world.live(key).map(|r| r.born) else {
        return;
    };
    let late = world.now.since(born) >= world.takes(Happening::DomainNotVisible);
    if status(body) != "PROVISIONING" || !late {
        return;
    }
    let addresses = served_at(world, key);
    let names = domains(body);
    if let Some(managed) = body.get_mut("managed") {
        for name in names {
            let status = match addresses.is_empty() || !points_at(world, &name, &addresses) {
                true => Some("FAILED_NOT_VISIBLE"),
                false => fails(world, &name),
            };
            if let Some(status) = status {
                managed["domainStatus"][&name] = json!(status);
            }
        }
    }
}
