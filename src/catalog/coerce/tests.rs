use serde_json::json;

use super::*;

fn coerced(schema: &str, value: &Value) -> Result<Json, Vec<String>> {
    let id = SchemaId::parse(schema).expect("service.Type");
    body(&Catalog::embedded(), &id, value)
        .map_err(|problems| problems.into_iter().map(|p| p.message).collect())
}

fn one(schema: &str, field: &str, value: Value) -> Result<Json, String> {
    match coerced(schema, &Value::record([(field, value)])) {
        Ok(json) => Ok(json[field].clone()),
        Err(problems) => Err(problems.join("; ")),
    }
}

#[test]
fn durations_become_what_the_field_counts() {
    let minutes = |n| Value::Duration(Millis::mins(n));
    let cases = [
        (
            "compute.BackendService",
            "timeoutSec",
            minutes(1440),
            json!(86400),
        ),
        (
            "compute.BackendServiceCdnPolicy",
            "maxTtl",
            minutes(1),
            json!(60),
        ),
        (
            "compute.RouterBgpPeerBfd",
            "minReceiveInterval",
            Value::Duration(Millis(1500)),
            json!(1500),
        ),
        (
            "sqladmin.BackupConfiguration",
            "transactionLogRetentionDays",
            minutes(7 * 1440),
            json!(7),
        ),
        (
            "run.GoogleCloudRunV2RevisionTemplate",
            "timeout",
            minutes(5),
            json!("300s"),
        ),
        (
            "run.GoogleCloudRunV2RevisionTemplate",
            "timeout",
            Value::Duration(Millis(1500)),
            json!("1.500s"),
        ),
        (
            "compute.HttpRetryPolicy",
            "perTryTimeout",
            Value::Duration(Millis(1500)),
            json!({"seconds": "1", "nanos": 500_000_000}),
        ),
    ];
    for (schema, field, value, expected) in cases {
        assert_eq!(one(schema, field, value), Ok(expected), "{schema}.{field}");
    }
}

#[test]
fn inexact_values_are_problems() {
    let cases = [
        (
            "compute.BackendService",
            "timeoutSec",
            Value::Duration(Millis(1500)),
            "`timeoutSec` takes whole seconds, and 1s500ms is none",
        ),
        (
            "compute.BackendService",
            "timeoutSec",
            Value::Int(0),
            "`timeoutSec` takes 1 to 2147483647, and 0 is outside",
        ),
        (
            "compute.HTTPHealthCheck",
            "port",
            Value::Int(65536),
            "`port` takes 1 to 65535, and 65536 is outside",
        ),
        (
            "compute.HTTPHealthCheck",
            "port",
            Value::Duration(Millis::secs(1)),
            "`port` is no duration: it takes a plain number, not 1s",
        ),
        (
            "compute.Image",
            "diskSizeGb",
            Value::Size(1 << 20),
            "`diskSizeGb` takes whole GiB, and 1MiB is none",
        ),
        (
            "compute.FixedOrPercent",
            "percent",
            Value::Percent(2.5),
            "`percent` takes whole percents, and 2.5% is none",
        ),
        (
            "compute.AutoscalingPolicyCpuUtilization",
            "utilizationTarget",
            Value::Int(60),
            "`utilizationTarget` takes 0 to 1, and 60 is outside",
        ),
        (
            "compute.AutoscalingPolicy",
            "mode",
            Value::str("ONLY_SCALE_UOT"),
            "`mode` has no value `ONLY_SCALE_UOT`; did you mean `ONLY_SCALE_OUT`?",
        ),
        (
            "compute.Image",
            "id",
            Value::Int(1),
            "`id` is set by Google and cannot be written; leave it out",
        ),
        (
            "compute.Image",
            "familly",
            Value::str("x"),
            "`compute.Image` has no field `familly`; did you mean `family`?",
        ),
        (
            "compute.AttachedDisk",
            "boot",
            Value::str("yes"),
            "`boot` takes true or false, not text",
        ),
    ];
    for (schema, field, value, expected) in cases {
        assert_eq!(
            one(schema, field, value),
            Err(expected.to_owned()),
            "{schema}.{field}"
        );
    }
}

#[test]
fn percentages_follow_the_name_not_the_format() {
    let sixty = || Value::Percent(60.0);
    let cases = [
        (
            "compute.AutoscalingPolicyCpuUtilization",
            "utilizationTarget",
            json!(0.6),
        ),
        ("compute.Backend", "capacityScaler", json!(0.6)),
        ("compute.BackendServiceLogConfig", "sampleRate", json!(0.6)),
        ("compute.FixedOrPercent", "percent", json!(60)),
        ("compute.RequestMirrorPolicy", "mirrorPercent", json!(60)),
        ("compute.HttpFaultAbort", "percentage", json!(60)),
    ];
    for (schema, field, expected) in cases {
        assert_eq!(
            one(schema, field, sixty()),
            Ok(expected),
            "{schema}.{field}"
        );
    }
}

#[test]
fn int64_travels_as_text_and_int32_as_a_number() {
    assert_eq!(
        one("compute.Image", "diskSizeGb", Value::Size(16 << 30)),
        Ok(json!("16"))
    );
    assert_eq!(
        one("compute.Image", "diskSizeGb", Value::str("16")),
        Ok(json!("16"))
    );
    assert_eq!(
        one("compute.NamedPort", "port", Value::str("5080")),
        Ok(json!(5080))
    );
    assert_eq!(
        one("sqladmin.Settings", "settingsVersion", Value::Int(7)),
        Ok(json!("7"))
    );
}

#[test]
fn unset_leaves_out_null_stays_and_later_is_not_checked() {
    let value = Value::record([
        ("name", Value::later("image")),
        ("family", Value::Unset),
        ("description", Value::Null),
        ("diskSizeGb", Value::later("image")),
    ]);
    let expected =
        json!({"name": "(after image)", "description": null, "diskSizeGb": "(after image)"});
    assert_eq!(coerced("compute.Image", &value), Ok(expected));
}

#[test]
fn problems_name_the_whole_path() {
    let version = Value::record([("targetSize", Value::record([("percent", Value::Int(101))]))]);
    let value = Value::record([("versions", Value::list(vec![version]))]);
    let id = SchemaId::new("compute", "InstanceGroupManager");
    let problems = body(&Catalog::embedded(), &id, &value).expect_err("101 %");
    let path = super::super::ProblemPlace::Field("versions[0].targetSize.percent".into());
    assert_eq!(problems[0].place, path);
    assert_eq!(problems.len(), 1);
}

#[test]
fn a_method_that_needs_a_field_says_so() {
    let catalog = Catalog::embedded();
    let method = catalog.method("compute.images.insert").expect("exists");
    let problems = body_for(&catalog, &method, &Value::record([])).expect_err("no name");
    let messages: Vec<&str> = problems.iter().map(|p| &*p.message).collect();
    assert_eq!(messages, ["`compute.images.insert` needs `name`; write it"]);
}
