//! The document that describes the API.

use utoipa::openapi::OpenApi;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::{Modify, OpenApi as Derive};

/// The document.
#[derive(Derive)]
#[openapi(
    info(
        title = "Key Backup Gateway: the audit trail",
        description = "Who set, cleared or read a key-backup preference: the trail, for programs. It is on the admin \
                       listener, and takes the tokens of `admin.tokens`. Times are UTC, RFC 3339; parameters that are \
                       not known are refused.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    paths(
        super::document,
        super::overview,
        super::records,
        super::exchange,
        super::proof,
        super::story,
        super::drift,
        super::would_break,
        super::adoption,
        super::export_file,
    ),
    security(("token" = [])),
    modifiers(&Token),
)]
pub(super) struct Document;

/// How one gets in.
struct Token;

// === impl Token ===

impl Modify for Token {
    fn modify(&self, document: &mut OpenApi) {
        let components = document.components.get_or_insert_default();
        let scheme = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
        components.add_security_scheme("token", scheme);
    }
}
