//! The parameters of the API, for its document. They are read by [`Asked`](crate::admin::query::Asked).

use utoipa::IntoParams;
use uuid::Uuid;

/// A range of time.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "only described")]
pub(super) struct RangeParams {
    /// `day` (the last 24 hours, by the hour), `week` (the default), `month`, or `chosen`: from `from` to `to`.
    #[param(required = false, pattern = "^(day|week|month|chosen)$")]
    range: String,
    /// The first day, as in `2026-11-23`, UTC.
    #[param(required = false, format = Date)]
    from: String,
    /// The last day, UTC.
    #[param(required = false, format = Date)]
    to: String,
}

/// The filters, and a page.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "only described")]
pub(super) struct FilterParams {
    /// The claimed or the authenticated user.
    #[param(required = false)]
    user: String,
    /// The device.
    #[param(required = false)]
    device: String,
    /// The client's address.
    #[param(required = false)]
    address: String,
    /// From here on: RFC 3339, or an age as in `7d`.
    #[param(required = false)]
    since: String,
    /// Up to here, exclusive: RFC 3339, or an age.
    #[param(required = false)]
    until: String,
    /// `write`, `read` or `clear`.
    #[param(required = false)]
    action: String,
    /// `stable` or `unstable`.
    #[param(required = false)]
    event_type: String,
    /// `accept`, `clear` or `refuse`.
    #[param(required = false)]
    verdict: String,
    /// A code, as in `field_not_boolean`.
    #[param(required = false)]
    violation: String,
    /// `refused`, `answered`, `unanswered` or `failed`.
    #[param(required = false)]
    outcome: String,
    /// What the client's `User-Agent` begins with.
    #[param(required = false)]
    client: String,
    /// Only records with ids below this: `next` of the page before.
    #[param(required = false)]
    before: Uuid,
    /// How many records at most; 100 if it is not said.
    #[param(required = false, minimum = 1, maximum = 1000)]
    limit: u32,
}

/// The filters, and a format.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "only described")]
pub(super) struct ExportParams {
    /// `jsonl`, which can be verified, or `csv`.
    #[param(pattern = "^(jsonl|csv)$")]
    format: String,
    /// The claimed or the authenticated user.
    #[param(required = false)]
    user: String,
    /// The device.
    #[param(required = false)]
    device: String,
    /// The client's address.
    #[param(required = false)]
    address: String,
    /// From here on: RFC 3339, or an age as in `7d`.
    #[param(required = false)]
    since: String,
    /// Up to here, exclusive: RFC 3339, or an age.
    #[param(required = false)]
    until: String,
    /// `write`, `read` or `clear`.
    #[param(required = false)]
    action: String,
    /// `stable` or `unstable`.
    #[param(required = false)]
    event_type: String,
    /// `accept`, `clear` or `refuse`.
    #[param(required = false)]
    verdict: String,
    /// A code, as in `field_not_boolean`.
    #[param(required = false)]
    violation: String,
    /// `refused`, `answered`, `unanswered` or `failed`.
    #[param(required = false)]
    outcome: String,
    /// What the client's `User-Agent` begins with.
    #[param(required = false)]
    client: String,
}

/// A page of a story.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "only described")]
pub(super) struct StoryParams {
    /// Only records with ids below this: `next` of the page before.
    #[param(required = false)]
    before: Uuid,
}

/// A page of each of the two lists.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "only described")]
pub(super) struct DriftParams {
    /// Only reads with ids below this: `next` of the page before.
    #[param(required = false)]
    before: Uuid,
    /// Only users after this: `next_user` of the page before.
    #[param(required = false)]
    after: String,
}
