//! Fields whose values are secrets wherever an answer shows them. No description marks them: the test
//! `every_field_that_speaks_of_a_secret_is_one_or_says_why_not` reads their names.

/// Type, field.
const TABLE: &[(&str, &str)] = &[
    ("container.MasterAuth", "clientKey"),
    ("container.MasterAuth", "password"),
    ("iam.OauthClientCredential", "clientSecret"),
    ("iam.ServiceAccountKey", "privateKeyData"),
    ("iam.SignBlobResponse", "signature"),
    ("iam.SignJwtResponse", "signedJwt"),
    ("iam.WorkforcePoolProviderScimToken", "securityToken"),
    ("secretmanager.SecretPayload", "data"),
    (
        "sqladmin.DemoteMasterMySqlReplicaConfiguration",
        "clientKey",
    ),
    ("sqladmin.MySqlReplicaConfiguration", "clientKey"),
    ("sqladmin.OnPremisesConfiguration", "clientKey"),
    ("sqladmin.SslCertDetail", "certPrivateKey"),
    ("storage.HmacKey", "secret"),
];

/// What servers that are no Google API call a secret, in small letters and without `_` and `-`.
const ELSEWHERE: &[&str] = &[
    "accesstoken",
    "apikey",
    "clientsecret",
    "idtoken",
    "password",
    "privatekey",
    "refreshtoken",
    "secret",
    "token",
];

/// Whether the values of a field are secrets.
pub(in crate::catalog) fn is_secret(owner: &str, name: &str) -> bool {
    TABLE.contains(&(owner, name))
}

/// Whether a field of an answer holds a secret; of a server that is no Google API, by its name alone.
pub fn in_answers(service: Option<&str>, name: &str) -> bool {
    match service {
        Some(service) => TABLE
            .iter()
            .any(|(owner, field)| *field == name && owner.split('.').next() == Some(service)),
        None => {
            let plain: String = name.chars().filter(|c| !matches!(c, '_' | '-')).collect();
            ELSEWHERE.contains(&plain.to_ascii_lowercase().as_str())
        }
    }
}

/// Whether answers of a service may hold secrets at all.
pub fn may_hold(service: Option<&str>) -> bool {
    let Some(service) = service else { return true };
    let mut owners = TABLE.iter().map(|(owner, _)| owner.split('.').next());
    owners.any(|owner| owner == Some(service))
}
