"""google-api-python-client against the simulated cloud."""

import base64

from google.auth.credentials import AnonymousCredentials
from googleapiclient.discovery import build
from googleapiclient.errors import HttpError
from googleapiclient.http import BatchHttpRequest

from cases import (
    PROJECT,
    REGION,
    URL,
    ZONE,
    case,
    compute,
    eventually,
    gone,
    holds,
    main,
    plain,
    refused,
    same,
)

PATHS = {"compute": "compute/v1/", "dns": "", "sqladmin": ""}


def service(name, version):
    return build(
        name,
        version,
        credentials=AnonymousCredentials(),
        client_options={"api_endpoint": f"{URL}/{PATHS.get(name, '')}"},
        cache_discovery=False,
    )


google = service("compute", "v1")
sql = service("sqladmin", "v1")
old_sql = service("sqladmin", "v1beta4")
dns = service("dns", "v1")
iam = service("iam", "v1")
secrets = service("secretmanager", "v1")
usage = service("serviceusage", "v1")
people = service("cloudresourcemanager", "v3")


def done(operation):
    """Waits as the client's own documentation does: by `wait` of the operation's scope."""
    scopes = {
        "zone": (google.zoneOperations, "zone"),
        "region": (google.regionOperations, "region"),
    }
    collection, place = google.globalOperations, {}
    for key, (of, argument) in scopes.items():
        if key in operation:
            collection, place = of, {argument: operation[key].rsplit("/", 1)[1]}
    while operation["status"] != "DONE":
        operation = (
            collection().wait(project=PROJECT, operation=operation["name"], **place).execute()
        )
    return operation


def sql_done(operation):
    look = lambda: sql.operations().get(project=PROJECT, operation=operation["name"]).execute()
    eventually(lambda: look()["status"], "DONE")


def refusal(code, request):
    error = refused(HttpError, request.execute)
    same(int(error.resp.status), code)
    return error


@case
def a_network_is_made_with_a_subnetwork():
    body = {"name": "di-net", "autoCreateSubnetworks": False}
    done(google.networks().insert(project=PROJECT, body=body).execute())
    body = {
        "name": "di-sub",
        "network": f"projects/{PROJECT}/global/networks/di-net",
        "ipCidrRange": "10.9.0.0/24",
    }
    done(google.subnetworks().insert(project=PROJECT, region=REGION, body=body).execute())
    net = google.networks().get(project=PROJECT, network="di-net").execute()
    same([s.rsplit("/", 1)[1] for s in net["subnetworks"]], ["di-sub"])
    same(compute(f"regions/{REGION}/subnetworks/di-sub")["gatewayAddress"], "10.9.0.1")


@case
def a_network_in_use_is_refused_in_the_operation_or_at_once():
    request = google.networks().delete(project=PROJECT, network="di-net")
    try:
        operation = done(request.execute())
        same(operation["error"]["errors"][0]["code"], "RESOURCE_IN_USE_BY_ANOTHER_RESOURCE")
        same(operation["httpErrorStatusCode"], 400)
    except HttpError as error:
        holds(error.content, "resourceInUseByAnotherResource")
    same(compute("global/networks/di-net")["name"], "di-net")


@case
def the_network_goes_after_its_subnetwork():
    done(google.subnetworks().delete(project=PROJECT, region=REGION, subnetwork="di-sub").execute())
    done(google.networks().delete(project=PROJECT, network="di-net").execute())
    gone("global/networks/di-net")


@case
def an_unknown_field_is_refused_as_google_does():
    body = {"name": "di-odd", "nonsense": 1}
    status, answer = plain(f"compute/v1/projects/{PROJECT}/global/addresses", body)
    same(status, 400)
    holds(answer["error"]["message"], 'Unknown name "nonsense"')
    gone("global/addresses/di-odd")


@case
def a_list_that_is_empty_has_no_items():
    page = google.snapshots().list(project=PROJECT).execute()
    same(page["kind"], "compute#snapshotList")
    same("items" in page, False)


@case
def pages_follow_each_other():
    names, request = [], google.regions().list(project=PROJECT, maxResults=1)
    while request is not None:
        page = request.execute()
        same(len(page["items"]), 1)
        names += [r["name"] for r in page["items"]]
        request = google.regions().list_next(request, page)
    same(names, sorted(names))
    holds(names, REGION)


@case
def an_aggregated_list_warns_of_empty_scopes():
    page = google.instances().aggregatedList(project=PROJECT).execute()
    empty = page["items"]["zones/us-east1-b"]
    same(empty["warning"]["code"], "NO_RESULTS_ON_PAGE")
    same(empty["warning"]["data"], [{"key": "scope", "value": "zones/us-east1-b"}])


@case
def many_requests_travel_in_one():
    answers = {}
    batch = BatchHttpRequest(
        callback=lambda key, answer, error: answers.update({key: answer or error}),
        batch_uri=f"{URL}/batch/compute/v1",
    )
    for name in ["di-one", "di-two"]:
        batch.add(
            google.globalAddresses().insert(project=PROJECT, body={"name": name}), request_id=name
        )
    batch.add(google.globalAddresses().get(project=PROJECT, address="nobody"), request_id="none")
    batch.execute()
    same(sorted(answers), ["di-one", "di-two", "none"])
    same(int(answers["none"].resp.status), 404)
    for name in ["di-one", "di-two"]:
        done(answers[name])
        same(compute(f"global/addresses/{name}")["name"], name)


@case
def a_disk_grows_and_never_shrinks():
    body = {"name": "di-disk", "sizeGb": "20"}
    done(google.disks().insert(project=PROJECT, zone=ZONE, body=body).execute())
    resize = lambda size: google.disks().resize(
        project=PROJECT, zone=ZONE, disk="di-disk", body={"sizeGb": size}
    )
    done(resize("30").execute())
    same(compute(f"zones/{ZONE}/disks/di-disk")["sizeGb"], "30")
    refusal(400, resize("10"))
    same(compute(f"zones/{ZONE}/disks/di-disk")["sizeGb"], "30")


@case
def a_snapshot_remembers_its_disk():
    request = google.disks().createSnapshot(
        project=PROJECT, zone=ZONE, disk="di-disk", body={"name": "di-snapshot"}
    )
    done(request.execute())
    seen = google.snapshots().get(project=PROJECT, snapshot="di-snapshot").execute()
    holds(seen["sourceDisk"], f"zones/{ZONE}/disks/di-disk")
    snapshot = lambda: compute("global/snapshots/di-snapshot")["status"]
    eventually(snapshot, "READY")


@case
def a_certificate_waits_for_its_domain():
    body = {"name": "di-cert", "type": "MANAGED", "managed": {"domains": ["di.example.com"]}}
    done(google.sslCertificates().insert(project=PROJECT, body=body).execute())
    seen = google.sslCertificates().get(project=PROJECT, sslCertificate="di-cert").execute()
    same(seen["managed"]["status"], "PROVISIONING")
    same(list(seen["managed"]["domainStatus"]), ["di.example.com"])


@case
def a_database_is_created_in_its_own_time():
    body = {
        "name": "di-sql",
        "region": REGION,
        "databaseVersion": "MYSQL_8_0",
        "settings": {"tier": "db-n1-standard-1"},
    }
    operation = sql.instances().insert(project=PROJECT, body=body).execute()
    same(operation["operationType"], "CREATE")
    same(operation["status"], "PENDING")
    sql_done(operation)
    seen = sql.instances().get(project=PROJECT, instance="di-sql").execute()
    same(seen["state"], "RUNNABLE")
    same(seen["connectionName"], f"{PROJECT}:{REGION}:di-sql")
    same(seen["settings"]["settingsVersion"], "1")


@case
def one_database_operation_at_a_time():
    patch = lambda cidr: sql.instances().patch(
        project=PROJECT,
        instance="di-sql",
        body={"settings": {"ipConfiguration": {"authorizedNetworks": [{"value": cidr}]}}},
    )
    first = patch("192.0.2.1/32").execute()
    error = refusal(409, patch("192.0.2.2/32"))
    holds(error.content, "another operation was already in progress")
    sql_done(first)
    sql_done(patch("192.0.2.3/32").execute())
    seen = sql.instances().get(project=PROJECT, instance="di-sql").execute()
    networks = seen["settings"]["ipConfiguration"]["authorizedNetworks"]
    same([n["value"] for n in networks], ["192.0.2.3/32"])
    same(seen["settings"]["settingsVersion"], "3")


@case
def both_families_of_paths_show_the_same_database():
    new = sql.instances().get(project=PROJECT, instance="di-sql").execute()
    old = old_sql.instances().get(project=PROJECT, instance="di-sql").execute()
    same(old["connectionName"], new["connectionName"])
    same(old["settings"]["settingsVersion"], new["settings"]["settingsVersion"])


@case
def a_stale_settings_version_is_refused():
    body = {"settings": {"settingsVersion": "1", "tier": "db-n1-standard-2"}}
    error = refusal(412, sql.instances().patch(project=PROJECT, instance="di-sql", body=body))
    holds(error.content, "Condition does not match.")


@case
def databases_and_users_belong_to_an_instance():
    body = {"name": "cluster"}
    sql_done(sql.databases().insert(project=PROJECT, instance="di-sql", body=body).execute())
    body = {"name": "manager", "password": "not-shown-again", "host": "%"}
    sql_done(sql.users().insert(project=PROJECT, instance="di-sql", body=body).execute())
    databases = sql.databases().list(project=PROJECT, instance="di-sql").execute()
    holds([d["name"] for d in databases["items"]], "cluster")
    users = sql.users().list(project=PROJECT, instance="di-sql").execute()
    holds([u["name"] for u in users["items"]], "manager")
    same("not-shown-again" in str(users), False)


@case
def a_database_that_is_not_there():
    error = refusal(404, sql.instances().get(project=PROJECT, instance="nobody"))
    holds(error.content, "The Cloud SQL instance does not exist.")


@case
def operations_of_a_database_are_listed_newest_first():
    listed = sql.operations().list(project=PROJECT, instance="di-sql").execute()["items"]
    times = [o["insertTime"] for o in listed]
    same(times, sorted(times, reverse=True))
    same({o["targetId"] for o in listed}, {"di-sql"})


@case
def a_record_set_changes_as_a_whole():
    zone = {"name": "di-zone", "dnsName": "example.org.", "description": "test"}
    dns.managedZones().create(project=PROJECT, body=zone).execute()
    record = {"name": "sm.example.org.", "type": "A", "ttl": 300, "rrdatas": ["192.0.2.7"]}
    change = dns.changes().create(
        project=PROJECT, managedZone="di-zone", body={"additions": [record]}
    )
    holds(["pending", "done"], change.execute()["status"])
    sets = dns.resourceRecordSets().list(project=PROJECT, managedZone="di-zone").execute()
    mine = [r for r in sets["rrsets"] if r["name"] == "sm.example.org."]
    same(mine[0]["rrdatas"], ["192.0.2.7"])
    same(sorted(r["type"] for r in sets["rrsets"]), ["A", "NS", "SOA"])


@case
def a_record_set_is_not_added_twice():
    record = {"name": "sm.example.org.", "type": "A", "ttl": 300, "rrdatas": ["192.0.2.8"]}
    request = dns.changes().create(
        project=PROJECT, managedZone="di-zone", body={"additions": [record]}
    )
    holds(refusal(409, request).content, "alreadyExists")


@case
def a_service_account_has_its_address():
    body = {"accountId": "di-account", "serviceAccount": {"displayName": "of a test"}}
    made = iam.projects().serviceAccounts().create(name=f"projects/{PROJECT}", body=body).execute()
    same(made["email"], f"di-account@{PROJECT}.iam.gserviceaccount.com")
    same(plain(f"v1/{made['name']}")[1]["displayName"], "of a test")
    refusal(409, iam.projects().serviceAccounts().create(name=f"projects/{PROJECT}", body=body))


@case
def a_policy_is_changed_under_its_etag():
    resource = f"projects/{PROJECT}"
    policy = people.projects().getIamPolicy(resource=resource, body={}).execute()
    member = f"serviceAccount:di-account@{PROJECT}.iam.gserviceaccount.com"
    bindings = policy.get("bindings", []) + [{"role": "roles/cloudsql.client", "members": [member]}]
    set_ = lambda etag: people.projects().setIamPolicy(
        resource=resource, body={"policy": {"bindings": bindings, "etag": etag}}
    )
    refusal(409, set_("AAAAAAAAAAA="))
    set_(policy["etag"]).execute()
    seen = people.projects().getIamPolicy(resource=resource, body={}).execute()
    holds([b["role"] for b in seen["bindings"]], "roles/cloudsql.client")


@case
def a_secret_has_versions():
    parent = f"projects/{PROJECT}"
    body = {"replication": {"automatic": {}}}
    secrets.projects().secrets().create(parent=parent, secretId="di-secret", body=body).execute()
    for text in [b"first", b"second"]:
        payload = {"payload": {"data": base64.b64encode(text).decode()}}
        secrets.projects().secrets().addVersion(
            parent=f"{parent}/secrets/di-secret", body=payload
        ).execute()
    latest = secrets.projects().secrets().versions()
    seen = latest.access(name=f"{parent}/secrets/di-secret/versions/latest").execute()
    same(base64.b64decode(seen["payload"]["data"]), b"second")
    holds(seen["name"], "/secrets/di-secret/versions/2")


@case
def a_service_is_enabled():
    name = f"projects/{PROJECT}/services/redis.googleapis.com"
    usage.services().enable(name=name, body={}).execute()
    same(usage.services().get(name=name).execute()["state"], "ENABLED")


@case
def a_method_that_is_not_simulated_says_so():
    path = f"compute/v1/projects/{PROJECT}/global/networks/default/switchToCustomMode"
    status, answer = plain(path, {}, method="POST")
    if status == 501:
        holds(answer["error"]["message"], "compute.networks.switchToCustomMode")
    else:
        same(status, 200)


@case
def a_database_is_deleted():
    sql_done(sql.instances().delete(project=PROJECT, instance="di-sql").execute())
    refusal(404, sql.instances().get(project=PROJECT, instance="di-sql"))


main()
