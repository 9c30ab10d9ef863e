//! [`Desk`](super::Desk) for a store whose modules `desk` and `summary` do the work: who does what, and for how long.

/// Implements [`Desk`](super::Desk). What people wait for, what takes records in, and what puts all of them in line have limits of
/// their own.
macro_rules! delegate_desk {
    ($store:ty, $reading:expr, $summarising:expr, $forgetting:expr) => {
        impl Desk for $store {
            fn standing(&self) -> BoxFuture<'_, Result<Standing, Error>> {
                self.bounded($reading, desk::standing(self))
            }

            fn adoption<'a>(
                &'a self,
                span: &'a Span,
            ) -> BoxFuture<'a, Result<Vec<Adoption>, Error>> {
                self.bounded($reading, desk::adoption(self, span))
            }

            fn writes<'a>(&'a self, span: &'a Span) -> BoxFuture<'a, Result<Vec<Writes>, Error>> {
                self.bounded($reading, desk::writes(self, span))
            }

            fn violations<'a>(
                &'a self,
                span: &'a Span,
                limit: u32,
            ) -> BoxFuture<'a, Result<Vec<Violations>, Error>> {
                self.bounded($reading, desk::violations(self, span, limit))
            }

            fn profile<'a>(
                &'a self,
                user: &'a str,
            ) -> BoxFuture<'a, Result<Option<Profile>, Error>> {
                self.bounded($reading, desk::profile(self, user))
            }

            fn changes<'a>(
                &'a self,
                user: &'a str,
                before: Option<Uuid>,
                limit: u32,
            ) -> BoxFuture<'a, Result<Vec<Stored>, Error>> {
                self.bounded($reading, desk::changes(self, user, before, limit))
            }

            fn drifts(
                &self,
                before: Option<Uuid>,
                limit: u32,
            ) -> BoxFuture<'_, Result<Vec<Drift>, Error>> {
                self.bounded($reading, desk::drifts(self, before, limit))
            }

            fn disagreeing<'a>(
                &'a self,
                after: Option<&'a str>,
                limit: u32,
            ) -> BoxFuture<'a, Result<Vec<Profile>, Error>> {
                self.bounded($reading, desk::disagreeing(self, after, limit))
            }

            fn summarise(&self, limit: u32) -> BoxFuture<'_, Result<Summarised, Error>> {
                self.bounded($summarising, summary::summarise(self, limit))
            }

            fn forget_summary(&self) -> BoxFuture<'_, Result<(), Error>> {
                self.bounded($forgetting, summary::forget(self))
            }
        }
    };
}

pub(in crate::audit) use delegate_desk;
