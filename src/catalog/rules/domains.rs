//! Serialisation domains: what takes one change at a time, beyond the resource itself.

/// Where a part of a domain's name comes from.
#[derive(Clone, Copy, Debug)]
pub(in crate::catalog) enum Source {
    /// An argument of the call.
    Arg(&'static str),
    /// A field of the body, by a path with dots; of a reference the last name.
    Body(&'static str),
}

/// One kind of domain, for the methods of some collections.
pub(in crate::catalog) struct Row {
    /// What people call it.
    pub noun: &'static str,
    /// Collections or methods; those below them belong to it as well.
    pub of: &'static [&'static str],
    /// What its name is made of; of each part the first source that has a value.
    pub name: &'static [&'static [Source]],
    /// Where the knowledge comes from.
    pub why: &'static str,
}

use Source::{Arg, Body};

const PROJECT: &[Source] = &[Arg("project"), Arg("projectId"), Arg("projectsId")];

pub(in crate::catalog) const TABLE: &[Row] = &[
    Row {
        noun: "sql instance",
        of: &["sqladmin"],
        name: &[PROJECT, &[Arg("instance"), Body("name")]],
        why: "409 operationInProgress (recorded); terraform#14424: one change of anything within an instance",
    },
    Row {
        noun: "peerings of network",
        of: &["servicenetworking.services.connections"],
        name: &[&[Body("network")]],
        why: "400 `There is a peering operation in progress on the local or peer network` \
              (terraform-provider-google, error_retry_predicates.go)",
    },
    Row {
        noun: "peerings of network",
        of: &[
            "compute.networks.addPeering",
            "compute.networks.updatePeering",
            "compute.networks.removePeering",
        ],
        name: &[&[Arg("network")]],
        why: "the same refusal",
    },
    Row {
        noun: "peerings of network",
        of: &["compute.networks.addPeering"],
        name: &[&[Body("networkPeering.network")]],
        why: "the same refusal names the peer network as well",
    },
    Row {
        noun: "peerings of network",
        of: &["sqladmin.instances"],
        name: &[&[Body("settings.ipConfiguration.privateNetwork")]],
        why: "terraform-provider-google#3069, #4249: instances on one private network, created in parallel, fail",
    },
    Row {
        noun: "cluster",
        of: &["container.projects.locations.clusters"],
        name: &[
            PROJECT,
            &[Arg("location")],
            &[Arg("cluster"), Body("cluster.name"), Body("name")],
        ],
        why: "400 failedPrecondition `Operation … is currently upgrading cluster …` (terraform-provider-google#930, #3650)",
    },
    Row {
        noun: "cluster",
        of: &["container.projects.zones.clusters"],
        name: &[
            PROJECT,
            &[Arg("zone")],
            &[Arg("clusterId"), Body("cluster.name"), Body("name")],
        ],
        why: "the same refusal, by the older paths",
    },
    Row {
        noun: "instance group",
        of: &["compute.instanceGroupManagers"],
        name: &[
            PROJECT,
            &[Arg("zone")],
            &[Arg("instanceGroupManager"), Body("name")],
        ],
        why: "a group and its autoscaler both decide the group's size: what a step reads must hold until it writes",
    },
    Row {
        noun: "instance group",
        of: &["compute.autoscalers"],
        name: &[PROJECT, &[Arg("zone")], &[Body("target")]],
        why: "as for its group",
    },
    Row {
        noun: "instance group",
        of: &["compute.regionInstanceGroupManagers"],
        name: &[
            PROJECT,
            &[Arg("region")],
            &[Arg("instanceGroupManager"), Body("name")],
        ],
        why: "as for zonal groups",
    },
    Row {
        noun: "instance group",
        of: &["compute.regionAutoscalers"],
        name: &[PROJECT, &[Arg("region")], &[Body("target")]],
        why: "as for its group",
    },
];

/// Whether `path`, a collection or a method, is `of` or stands below it.
pub(in crate::catalog) fn covers(of: &str, path: &str) -> bool {
    path.strip_prefix(of)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}
