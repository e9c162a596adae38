use super::*;

fn page(name: &str) -> String {
    describe(&Catalog::embedded(), Some(name)).expect("known")
}

#[test]
fn a_method_reads_as_a_flow_calls_it() {
    let text = page("compute.instances.setDiskAutoDelete");
    for part in [
        "call compute.instances.setDiskAutoDelete(\"instance\", project: …, zone: …, autoDelete: …,",
        "autoDelete  required, bool",
        "for a zone operation",
        "`requestId`, drawn by r5flow",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    assert!(page("compute.regionBackendServices.getHealth").contains("read compute."));
}

#[test]
fn a_type_tells_units_ranges_and_what_google_sets() {
    let text = page("compute.HealthCheck");
    assert!(
        text.contains("timeoutSec          duration in seconds 1..300, default 5"),
        "{text}"
    );
    assert!(
        text.contains("set by Google: creationTimestamp, id, kind, region, selfLink"),
        "{text}"
    );
}

#[test]
fn a_collection_tells_how_to_ensure() {
    assert!(page("run.services").contains("the id goes into the query as `serviceId`"));
    assert!(page("monitoring.alertPolicies").contains("no `ensure`"));
}

#[test]
fn no_line_is_too_wide() {
    let catalog = Catalog::embedded();
    for name in catalog.schemas("compute") {
        let text = page(&format!("compute.{name}"));
        let wide = text
            .lines()
            .find(|l| l.chars().count() > WIDTH && l.trim().contains(' '));
        assert_eq!(wide, None);
    }
}

#[test]
fn unknown_names_get_the_nearest() {
    let catalog = Catalog::embedded();
    assert_eq!(
        describe(&catalog, Some("compute.healtChecks")),
        Err(
            "the catalogue has no `compute.healtChecks`; did you mean `compute.healthChecks`?"
                .into()
        )
    );
}
