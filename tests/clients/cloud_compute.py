"""google-cloud-compute against the simulated cloud."""

import uuid

from google.api_core import exceptions
from google.auth.credentials import AnonymousCredentials
from google.cloud import compute_v1 as c

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
    refused,
    same,
)


def client(kind):
    """A client whose operations are asked for at the simulator too; by default they are not."""
    there = dict(credentials=AnonymousCredentials(), client_options={"api_endpoint": URL})
    made = kind(**there)
    made.transport._extended_operations_services = {
        "zone_operations": c.ZoneOperationsClient(**there),
        "region_operations": c.RegionOperationsClient(**there),
        "global_operations": c.GlobalOperationsClient(**there),
    }
    return made


addresses = client(c.AddressesClient)
autoscalers = client(c.RegionAutoscalersClient)
backends = client(c.BackendServicesClient)
checks = client(c.HealthChecksClient)
disks = client(c.DisksClient)
firewalls = client(c.FirewallsClient)
global_addresses = client(c.GlobalAddressesClient)
groups = client(c.RegionInstanceGroupManagersClient)
images = client(c.ImagesClient)
instances = client(c.InstancesClient)
maps = client(c.UrlMapsClient)
proxies = client(c.TargetHttpProxiesClient)
rules = client(c.GlobalForwardingRulesClient)
templates = client(c.InstanceTemplatesClient)
zones = client(c.ZonesClient)
zone_operations = client(c.ZoneOperationsClient)

DEBIAN = "projects/debian-cloud/global/images/family/debian-12"


def machine(name, **more):
    return c.Instance(
        name=name,
        machine_type=f"zones/{ZONE}/machineTypes/e2-small",
        disks=[
            c.AttachedDisk(
                boot=True,
                auto_delete=True,
                initialize_params=c.AttachedDiskInitializeParams(source_image=DEBIAN),
            )
        ],
        network_interfaces=[c.NetworkInterface(network="global/networks/default")],
        **more,
    )


def template(name):
    properties = c.InstanceProperties(
        machine_type="e2-small",
        disks=[
            c.AttachedDisk(
                boot=True,
                auto_delete=True,
                initialize_params=c.AttachedDiskInitializeParams(source_image=DEBIAN),
            )
        ],
        network_interfaces=[c.NetworkInterface(network="global/networks/default")],
    )
    return c.InstanceTemplate(name=name, properties=properties)


@case
def an_address_is_reserved_and_released():
    operation = addresses.insert(
        project=PROJECT, region=REGION, address_resource=c.Address(name="py-address")
    )
    operation.result()
    mine = addresses.get(project=PROJECT, region=REGION, address="py-address")
    same(mine.status, "RESERVED")
    same(compute(f"regions/{REGION}/addresses/py-address")["address"], mine.address)
    addresses.delete(project=PROJECT, region=REGION, address="py-address").result()
    gone(f"regions/{REGION}/addresses/py-address")


@case
def the_first_answer_of_an_operation_runs_and_its_name_is_compute_s():
    operation = global_addresses.insert(
        project=PROJECT, address_resource=c.Address(name="py-first")
    )
    same(operation.status, c.Operation.Status.RUNNING)
    holds(operation.name, "operation-")
    operation.result()
    same(operation.status, c.Operation.Status.DONE)


@case
def a_request_id_gives_the_same_operation():
    request = c.InsertGlobalAddressRequest(
        project=PROJECT,
        address_resource=c.Address(name="py-once"),
        request_id=str(uuid.UUID(int=7)),
    )
    first = global_addresses.insert(request)
    second = global_addresses.insert(request)
    same(first.name, second.name)
    first.result()
    same(compute("global/addresses/py-once")["name"], "py-once")


@case
def what_exists_is_a_conflict():
    again = lambda: global_addresses.insert(
        project=PROJECT, address_resource=c.Address(name="py-once")
    )
    refusal = refused(exceptions.Conflict, again)
    same(refusal.errors[0]["reason"], "alreadyExists")
    holds(refusal, "The resource 'projects/demo/global/addresses/py-once' already exists")


@case
def what_is_not_there_is_not_found():
    look = lambda: instances.get(project=PROJECT, zone=ZONE, instance="nobody")
    refusal = refused(exceptions.NotFound, look)
    holds(refusal, "The resource 'projects/demo/zones/us-central1-a/instances/nobody' was not found")


@case
def a_bad_name_is_refused_with_its_pattern():
    insert = lambda: global_addresses.insert(
        project=PROJECT, address_resource=c.Address(name="Not_A_Name")
    )
    refusal = refused(exceptions.BadRequest, insert)
    holds(refusal, "Invalid value for field 'resource.name': 'Not_A_Name'. Must be a match of regex")


@case
def a_machine_is_made_with_its_disk():
    instances.insert(project=PROJECT, zone=ZONE, instance_resource=machine("py-vm")).result()
    vm = instances.get(project=PROJECT, zone=ZONE, instance="py-vm")
    same(vm.status, "RUNNING")
    same(vm.disks[0].auto_delete, True)
    same(vm.network_interfaces[0].name, "nic0")
    disk = disks.get(project=PROJECT, zone=ZONE, disk="py-vm")
    same([user.rsplit("/", 1)[1] for user in disk.users], ["py-vm"])


@case
def machines_are_listed_with_a_filter():
    found = instances.list(
        c.ListInstancesRequest(project=PROJECT, zone=ZONE, filter="name = py-vm")
    )
    same([vm.name for vm in found], ["py-vm"])


@case
def an_aggregated_list_names_every_scope():
    scopes = dict(instances.aggregated_list(project=PROJECT))
    names = [vm.name for vm in scopes[f"zones/{ZONE}"].instances]
    holds(names, "py-vm")
    empty = scopes["zones/us-east1-b"]
    same(list(empty.instances), [])
    same(empty.warning.code, "NO_RESULTS_ON_PAGE")


@case
def lists_come_in_pages():
    pages = zones.list(c.ListZonesRequest(project=PROJECT, max_results=3)).pages
    sizes = [len(page.items) for page in pages]
    same(sizes[0], 3)
    if len(sizes) < 3:
        raise AssertionError(f"pages of {sizes}")


@case
def a_machine_is_stopped_and_started():
    instances.stop(project=PROJECT, zone=ZONE, instance="py-vm").result()
    same(compute(f"zones/{ZONE}/instances/py-vm")["status"], "TERMINATED")
    instances.start(project=PROJECT, zone=ZONE, instance="py-vm").result()
    same(compute(f"zones/{ZONE}/instances/py-vm")["status"], "RUNNING")


@case
def labels_need_the_fingerprint():
    labels = lambda print_: c.InstancesSetLabelsRequest(
        label_fingerprint=print_, labels={"team": "video"}
    )
    set_ = lambda print_: instances.set_labels(
        project=PROJECT,
        zone=ZONE,
        instance="py-vm",
        instances_set_labels_request_resource=labels(print_),
    )
    refused(exceptions.PreconditionFailed, lambda: set_("AAAAAAAAAAA="))
    vm = instances.get(project=PROJECT, zone=ZONE, instance="py-vm")
    set_(vm.label_fingerprint).result()
    same(compute(f"zones/{ZONE}/instances/py-vm")["labels"], {"team": "video"})


@case
def metadata_need_the_fingerprint():
    vm = instances.get(project=PROJECT, zone=ZONE, instance="py-vm")
    metadata = c.Metadata(
        fingerprint=vm.metadata.fingerprint, items=[c.Items(key="role", value="test")]
    )
    instances.set_metadata(
        project=PROJECT, zone=ZONE, instance="py-vm", metadata_resource=metadata
    ).result()
    seen = compute(f"zones/{ZONE}/instances/py-vm")["metadata"]["items"]
    same(seen, [{"key": "role", "value": "test"}])


@case
def a_disk_outlives_its_machine_when_told():
    instances.set_disk_auto_delete(
        project=PROJECT,
        zone=ZONE,
        instance="py-vm",
        auto_delete=False,
        device_name="persistent-disk-0",
    ).result()
    instances.delete(project=PROJECT, zone=ZONE, instance="py-vm").result()
    gone(f"zones/{ZONE}/instances/py-vm")
    same(compute(f"zones/{ZONE}/disks/py-vm").get("users"), None)


@case
def an_image_is_made_from_the_disk_and_found_by_its_family():
    image = c.Image(name="py-image", family="py", source_disk=f"zones/{ZONE}/disks/py-vm")
    images.insert(project=PROJECT, image_resource=image).result()
    same(images.get_from_family(project=PROJECT, family="py").name, "py-image")
    eventually(lambda: compute("global/images/py-image")["status"], "READY")


@case
def a_deprecated_image_leaves_its_family():
    status = c.DeprecationStatus(state="DEPRECATED")
    images.deprecate(
        project=PROJECT, image="py-image", deprecation_status_resource=status
    ).result()
    refused(
        exceptions.NotFound, lambda: images.get_from_family(project=PROJECT, family="py")
    )
    same(compute("global/images/py-image")["deprecated"]["state"], "DEPRECATED")


@case
def a_disk_is_deleted():
    disks.delete(project=PROJECT, zone=ZONE, disk="py-vm").result()
    gone(f"zones/{ZONE}/disks/py-vm")


@case
def a_template_keeps_its_short_machine_type():
    templates.insert(project=PROJECT, instance_template_resource=template("py-template")).result()
    seen = templates.get(project=PROJECT, instance_template="py-template")
    same(seen.properties.machine_type, "e2-small")
    same(
        compute("global/instanceTemplates/py-template")["properties"]["disks"][0][
            "initializeParams"
        ]["sourceImage"].endswith("family/debian-12"),
        True,
    )


@case
def a_group_makes_its_machines():
    group = c.InstanceGroupManager(
        name="py-group",
        base_instance_name="py",
        instance_template="global/instanceTemplates/py-template",
        target_size=3,
    )
    groups.insert(
        project=PROJECT, region=REGION, instance_group_manager_resource=group
    ).result()
    seen = groups.get(project=PROJECT, region=REGION, instance_group_manager="py-group")
    same(seen.target_size, 3)
    wait_for_stable("py-group")
    managed = list(
        groups.list_managed_instances(
            project=PROJECT, region=REGION, instance_group_manager="py-group"
        )
    )
    same(len(managed), 3)
    same({m.instance_status for m in managed}, {"RUNNING"})
    same({m.current_action for m in managed}, {"NONE"})
    same(len({m.instance.split("/")[-3] for m in managed}), 3)


def wait_for_stable(name):
    look = lambda: groups.get(project=PROJECT, region=REGION, instance_group_manager=name)
    eventually(lambda: look().status.is_stable, True)


@case
def a_template_in_use_stays():
    delete = lambda: templates.delete(project=PROJECT, instance_template="py-template").result()
    refusal = refused(exceptions.BadRequest, delete)
    holds(refusal, "py-template' is already being used by")
    same(compute("global/instanceTemplates/py-template")["name"], "py-template")


@case
def a_group_is_resized():
    groups.resize(
        project=PROJECT, region=REGION, instance_group_manager="py-group", size=4
    ).result()
    wait_for_stable("py-group")
    same(compute(f"regions/{REGION}/instanceGroupManagers/py-group")["targetSize"], 4)
    same(compute(f"regions/{REGION}/instanceGroups/py-group")["size"], 4)


@case
def an_autoscaler_wants_its_minimum():
    scaler = c.Autoscaler(
        name="py-scaler",
        target=f"regions/{REGION}/instanceGroupManagers/py-group",
        autoscaling_policy=c.AutoscalingPolicy(
            min_num_replicas=2,
            max_num_replicas=5,
            cpu_utilization=c.AutoscalingPolicyCpuUtilization(utilization_target=0.6),
        ),
    )
    autoscalers.insert(project=PROJECT, region=REGION, autoscaler_resource=scaler).result()
    seen = autoscalers.get(project=PROJECT, region=REGION, autoscaler="py-scaler")
    same(seen.autoscaling_policy.mode, "ON")
    same(seen.autoscaling_policy.cool_down_period_sec, 60)


@case
def a_maximum_below_the_minimum_is_refused():
    scaler = c.Autoscaler(
        name="py-wrong",
        target=f"regions/{REGION}/instanceGroupManagers/py-group",
        autoscaling_policy=c.AutoscalingPolicy(min_num_replicas=5, max_num_replicas=2),
    )
    insert = lambda: autoscalers.insert(
        project=PROJECT, region=REGION, autoscaler_resource=scaler
    ).result()
    refused(exceptions.BadRequest, insert)
    gone(f"regions/{REGION}/autoscalers/py-wrong")


@case
def a_group_takes_its_autoscaler_and_machines_along():
    autoscalers.delete(project=PROJECT, region=REGION, autoscaler="py-scaler").result()
    groups.delete(project=PROJECT, region=REGION, instance_group_manager="py-group").result()
    gone(f"regions/{REGION}/instanceGroupManagers/py-group")
    gone(f"regions/{REGION}/instanceGroups/py-group")
    templates.delete(project=PROJECT, instance_template="py-template").result()


@case
def a_health_check_has_the_defaults():
    check = c.HealthCheck(name="py-check", type_="HTTP", http_health_check=c.HTTPHealthCheck(port=5080))
    checks.insert(project=PROJECT, health_check_resource=check).result()
    seen = checks.get(project=PROJECT, health_check="py-check")
    same(
        (seen.check_interval_sec, seen.timeout_sec, seen.healthy_threshold, seen.unhealthy_threshold),
        (5, 5, 2, 2),
    )
    same(seen.http_health_check.request_path, "/")


@case
def a_chain_of_balancing_stands_and_falls_in_order():
    backend = c.BackendService(
        name="py-backend",
        health_checks=["global/healthChecks/py-check"],
        protocol="HTTP",
        load_balancing_scheme="EXTERNAL",
    )
    backends.insert(project=PROJECT, backend_service_resource=backend).result()
    same(backends.get(project=PROJECT, backend_service="py-backend").timeout_sec, 30)
    map_ = c.UrlMap(name="py-map", default_service="global/backendServices/py-backend")
    maps.insert(project=PROJECT, url_map_resource=map_).result()
    proxy = c.TargetHttpProxy(name="py-proxy", url_map="global/urlMaps/py-map")
    proxies.insert(project=PROJECT, target_http_proxy_resource=proxy).result()
    rule = c.ForwardingRule(
        name="py-rule", target="global/targetHttpProxies/py-proxy", port_range="80"
    )
    rules.insert(project=PROJECT, forwarding_rule_resource=rule).result()
    seen = rules.get(project=PROJECT, forwarding_rule="py-rule")
    same(seen.port_range, "80-80")

    refusal = refused(
        exceptions.BadRequest,
        lambda: backends.delete(project=PROJECT, backend_service="py-backend").result(),
    )
    same(refusal.errors[0]["reason"], "resourceInUseByAnotherResource")
    holds(
        refusal,
        "The backend_service resource 'projects/demo/global/backendServices/py-backend' is already "
        "being used by 'projects/demo/global/urlMaps/py-map'",
    )
    rules.delete(project=PROJECT, forwarding_rule="py-rule").result()
    proxies.delete(project=PROJECT, target_http_proxy="py-proxy").result()
    maps.delete(project=PROJECT, url_map="py-map").result()
    backends.delete(project=PROJECT, backend_service="py-backend").result()
    checks.delete(project=PROJECT, health_check="py-check").result()
    gone("global/backendServices/py-backend")


@case
def a_patch_changes_what_it_names():
    firewall = c.Firewall(
        name="py-wall",
        network="global/networks/default",
        source_ranges=["130.211.0.0/22"],
        allowed=[c.Allowed(I_p_protocol="tcp", ports=["5080"])],
    )
    firewalls.insert(project=PROJECT, firewall_resource=firewall).result()
    firewalls.patch(
        project=PROJECT,
        firewall="py-wall",
        firewall_resource=c.Firewall(source_ranges=["130.211.0.0/22", "35.191.0.0/16"]),
    ).result()
    seen = compute("global/firewalls/py-wall")
    same(seen["sourceRanges"], ["130.211.0.0/22", "35.191.0.0/16"])
    same(seen["allowed"], [{"IPProtocol": "tcp", "ports": ["5080"]}])
    same(seen["priority"], 1000)


@case
def an_operation_can_be_asked_for_and_waited_for():
    operation = instances.insert(
        project=PROJECT, zone=ZONE, instance_resource=machine("py-late")
    )
    waited = zone_operations.wait(project=PROJECT, zone=ZONE, operation=operation.name)
    same(waited.operation_type, "insert")
    holds(waited.target_link, "/instances/py-late")
    operation.result()
    listed = zone_operations.list(
        c.ListZoneOperationsRequest(project=PROJECT, zone=ZONE, max_results=500)
    )
    holds([o.name for o in listed], operation.name)
    instances.delete(project=PROJECT, zone=ZONE, instance="py-late").result()


@case
def an_operation_that_nobody_knows_is_not_found():
    look = lambda: zone_operations.get(project=PROJECT, zone=ZONE, operation="operation-1-2-3-4")
    refused(exceptions.NotFound, look)


@case
def an_unknown_machine_type_is_refused():
    vm = machine("py-big")
    vm.machine_type = f"zones/{ZONE}/machineTypes/e9-colossal"
    insert = lambda: instances.insert(project=PROJECT, zone=ZONE, instance_resource=vm).result()
    refusal = refused((exceptions.NotFound, exceptions.BadRequest), insert)
    holds(refusal, "e9-colossal")


main()
