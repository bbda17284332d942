//! Who may see and do what, as data in one place. Nothing is asked or shown in here.

use std::fmt;

macro_rules! names {
    ($(#[$doc:meta])* $kind:ident { $($(#[$of:meta])* $variant:ident = $name:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $kind { $($(#[$of])* $variant),+ }

        impl $kind {
            pub const ALL: &'static [$kind] = &[$($kind::$variant),+];

            pub fn as_str(self) -> &'static str {
                match self { $($kind::$variant => $name),+ }
            }

            pub fn parse(name: &str) -> Option<$kind> {
                $kind::ALL.iter().copied().find(|known| known.as_str() == name)
            }
        }

        impl fmt::Display for $kind {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

names! {
    /// What somebody is at the console. Nobody is anything by default.
    Role {
        Viewer = "viewer",
        Operator = "operator",
        Assessor = "assessor",
        PrivacyOfficer = "privacy-officer",
        Administrator = "administrator",
    }
}

names! {
    /// What there is to see or do.
    Power {
        Overview = "overview",
        Messages = "messages",
        Queue = "queue",
        /// Replay and discard, one by one or as a job.
        Act = "act",
        Assess = "assess",
        Policy = "policy",
        /// What went to whom of a person's data.
        Disclosures = "disclosures",
        Audit = "audit",
        Users = "users",
    }
}

/// Nobody who keeps the system running sees persons, and nobody who sees persons keeps it running.
const MAY: &[(Role, &[Power])] = &[
    (Role::Viewer, &[Power::Overview, Power::Messages, Power::Queue]),
    (Role::Operator, &[Power::Overview, Power::Messages, Power::Queue, Power::Act]),
    (Role::Assessor, &[Power::Assess]),
    // A report names the deliveries that it is made of.
    (Role::PrivacyOfficer, &[Power::Messages, Power::Policy, Power::Disclosures, Power::Audit]),
    (Role::Administrator, &[Power::Overview, Power::Users]),
];

impl Role {
    pub fn may(self, power: Power) -> bool {
        MAY.iter().any(|(role, powers)| *role == self && powers.contains(&power))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_role_may_what_the_table_says_and_no_more() {
        let table = [
            // power, viewer, operator, assessor, privacy officer, administrator
            (Power::Overview, [true, true, false, false, true]),
            (Power::Messages, [true, true, false, true, false]),
            (Power::Queue, [true, true, false, false, false]),
            (Power::Act, [false, true, false, false, false]),
            (Power::Assess, [false, false, true, false, false]),
            (Power::Policy, [false, false, false, true, false]),
            (Power::Disclosures, [false, false, false, true, false]),
            (Power::Audit, [false, false, false, true, false]),
            (Power::Users, [false, false, false, false, true]),
        ];
        assert_eq!(table.len(), Power::ALL.len());
        for (power, expected) in table {
            let may: Vec<bool> = Role::ALL.iter().map(|role| role.may(power)).collect();
            assert_eq!(may, expected, "{power}");
        }
    }

    #[test]
    fn names_lead_back() {
        for role in Role::ALL {
            assert_eq!(Role::parse(role.as_str()), Some(*role));
        }
        assert_eq!(Role::parse("Administrator"), None);
    }
}
