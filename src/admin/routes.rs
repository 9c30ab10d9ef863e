//! The routes of the auditor's page and the API, and who may use each: the one table that the door
//! judges by, and that tests go through.

use http::Method;

/// One method of one route.
#[derive(Clone, Copy, Debug)]
pub struct Route {
    /// Its method. HEAD is GET.
    pub method: &'static str,
    /// Its path as the router has it.
    pub path: &'static str,
    /// Who may use it.
    pub who: Who,
    /// A target of this route.
    pub example: &'static str,
}

/// Who may use a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// Whoever reaches the listener.
    Anyone,
    /// A token of any role.
    Reader,
    /// An auditor's token.
    Auditor,
}

/// Everything under `/audit` and `/api`. What is missing here is an auditor's: forgetting a line must not
/// open a door.
pub const ROUTES: &[Route] = &[
    Route {
        method: "GET",
        path: "/audit",
        who: Who::Reader,
        example: "/audit",
    },
    Route {
        method: "GET",
        path: "/audit/",
        who: Who::Reader,
        example: "/audit/?range=week",
    },
    Route {
        method: "GET",
        path: "/audit/login",
        who: Who::Anyone,
        example: "/audit/login?next=/audit/search",
    },
    Route {
        method: "POST",
        path: "/audit/login",
        who: Who::Anyone,
        example: "/audit/login",
    },
    Route {
        method: "POST",
        path: "/audit/logout",
        who: Who::Reader,
        example: "/audit/logout",
    },
];

/// Who may use `method` at the route `path`.
pub(super) fn who(method: &Method, path: &str) -> Who {
    let method = match *method {
        Method::HEAD => Method::GET.as_str(),
        ref method => method.as_str(),
    };
    let is_it = |route: &&Route| route.method == method && route.path == path;
    ROUTES
        .iter()
        .find(is_it)
        .map_or(Who::Auditor, |route| route.who)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_table_does_not_know_is_an_auditors() {
        assert_eq!(who(&Method::GET, "/audit/forgotten"), Who::Auditor);
        assert_eq!(who(&Method::DELETE, "/audit/login"), Who::Auditor);
        assert_eq!(who(&Method::HEAD, "/audit/login"), Who::Anyone);
        assert_eq!(who(&Method::GET, ""), Who::Auditor);
    }
}
