//! Which resources can carry the marks of their run from the moment they are created.

use super::super::{Collection, Kind, Schema};

/// Types whose description says of `labels`: "These can only be added or modified by the setLabels
/// method." An insert does not take them.
const LABELLED_LATER: &[&str] = &[
    "Address",
    "ExternalVpnGateway",
    "ForwardingRule",
    "Interconnect",
    "InterconnectAttachment",
    "SecurityPolicy",
    "TargetVpnGateway",
    "VpnGateway",
    "VpnTunnel",
];

/// Whether a resource of this type takes labels when it is created.
pub fn takes_labels(collection: &Collection, resource: &Schema) -> bool {
    let later = &*collection.service == "compute" && LABELLED_LATER.contains(&&*resource.id.name);
    let text = |kind: &Kind| matches!(kind, Kind::String { .. });
    let labels = resource
        .field("labels")
        .filter(|f| !f.output_only && matches!(&f.kind, Kind::Map(of) if text(of)));
    collection.insert.is_some() && !later && labels.is_some()
}
