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
    Route {
        method: "GET",
        path: "/audit/style.css",
        who: Who::Anyone,
        example: "/audit/style.css",
    },
    Route {
        method: "GET",
        path: "/audit/search",
        who: Who::Reader,
        example: "/audit/search?verdict=refuse",
    },
    Route {
        method: "GET",
        path: "/audit/exchange/{id}",
        who: Who::Reader,
        example: "/audit/exchange/01900000-0000-7000-8000-000000000000",
    },
    Route {
        method: "GET",
        path: "/audit/exchange/{id}/proof",
        who: Who::Auditor,
        example: "/audit/exchange/01900000-0000-7000-8000-000000000000/proof",
    },
    Route {
        method: "GET",
        path: "/audit/user",
        who: Who::Reader,
        example: "/audit/user?user=%40alice%3Aexample.org",
    },
    Route {
        method: "GET",
        path: "/audit/reports/would-break",
        who: Who::Reader,
        example: "/audit/reports/would-break",
    },
    Route {
        method: "GET",
        path: "/audit/reports/drift",
        who: Who::Reader,
        example: "/audit/reports/drift",
    },
    Route {
        method: "GET",
        path: "/audit/reports/adoption",
        who: Who::Reader,
        example: "/audit/reports/adoption?range=month",
    },
    Route {
        method: "GET",
        path: "/audit/export",
        who: Who::Auditor,
        example: "/audit/export",
    },
    Route {
        method: "POST",
        path: "/audit/export",
        who: Who::Auditor,
        example: "/audit/export",
    },
    Route {
        method: "GET",
        path: "/api/v1/openapi.json",
        who: Who::Reader,
        example: "/api/v1/openapi.json",
    },
    Route {
        method: "GET",
        path: "/api/v1/overview",
        who: Who::Reader,
        example: "/api/v1/overview?range=day",
    },
    Route {
        method: "GET",
        path: "/api/v1/records",
        who: Who::Reader,
        example: "/api/v1/records?limit=10",
    },
    Route {
        method: "GET",
        path: "/api/v1/exchanges/{id}",
        who: Who::Reader,
        example: "/api/v1/exchanges/01900000-0000-7000-8000-000000000000",
    },
    Route {
        method: "GET",
        path: "/api/v1/exchanges/{id}/proof",
        who: Who::Auditor,
        example: "/api/v1/exchanges/01900000-0000-7000-8000-000000000000/proof",
    },
    Route {
        method: "GET",
        path: "/api/v1/users/{user}",
        who: Who::Reader,
        example: "/api/v1/users/%40alice%3Aexample.org",
    },
    Route {
        method: "GET",
        path: "/api/v1/reports/drift",
        who: Who::Reader,
        example: "/api/v1/reports/drift",
    },
    Route {
        method: "GET",
        path: "/api/v1/reports/would-break",
        who: Who::Reader,
        example: "/api/v1/reports/would-break",
    },
    Route {
        method: "GET",
        path: "/api/v1/reports/adoption",
        who: Who::Reader,
        example: "/api/v1/reports/adoption",
    },
    Route {
        method: "GET",
        path: "/api/v1/export",
        who: Who::Auditor,
        example: "/api/v1/export?format=jsonl",
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
