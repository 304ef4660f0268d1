//! AppArmor's restrictions: Ubuntu's on new user namespaces, and those of a profile. Pure.

use crate::diagnose::causes::evidence::{with, with_label};
use crate::diagnose::causes::fixes;
use crate::diagnose::facts::{APPARMOR_USERNS, Facts, Witness};
use crate::error::Diagnosis;

/// Explains that a security module denies capabilities in the new namespaces.
pub(crate) fn taken_away(facts: &Facts, witness: &Witness) -> Option<Diagnosis> {
    let label = witness.label.as_ref();
    let is_ubuntus = label.is_some_and(|(_, label)| label.contains("unprivileged_userns"));
    let restricts = || facts.apparmor_restricts.as_deref() == Some("1");
    if is_ubuntus {
        return Some(apparmor(facts, label));
    }
    confined(label).or_else(|| restricts().then(|| apparmor(facts, label)))
}

/// Explains Ubuntu's restriction.
pub(crate) fn apparmor(facts: &Facts, label: Option<&(String, String)>) -> Diagnosis {
    let cause = "AppArmor takes the rights over new user namespaces from programs that have no \
                 profile, as Ubuntu does since 23.10";
    let set = "kernel.apparmor_restrict_unprivileged_userns=0";
    let diagnosis =
        with(Diagnosis::new("apparmor", cause), APPARMOR_USERNS, facts.apparmor_restricts.as_ref());
    let here = if facts.container.is_some() { "on the host of the container: " } else { "" };
    let lasting = facts.executable.as_deref().and_then(fixes::apparmor_profile);
    with_label(diagnosis, label)
        .until_reboot(format!("{here}sudo sysctl -w {set}"))
        .for_good(lasting.unwrap_or_else(|| fixes::sysctl_for_good(set)))
}

/// Checks for an enforced AppArmor profile.
pub(crate) fn confined(label: Option<&(String, String)>) -> Option<Diagnosis> {
    let (file, profile) = label?;
    // Others are `(complain)` and `(unconfined)`; SELinux has contexts without any.
    if !profile.ends_with(" (enforce)") {
        return None;
    }
    Some(
        Diagnosis::new(
            "apparmor-profile",
            "the AppArmor profile of this process does not allow user namespaces or what they \
             are for",
        )
        .shown_by(file, profile)
        .for_good(
            "run the tests outside of that profile (docker run --security-opt \
             apparmor=unconfined), or add `userns,` and `capability,` to it",
        ),
    )
}
