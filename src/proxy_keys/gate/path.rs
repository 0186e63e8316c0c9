//! The paths of members in a request body, such as `tools[].function.parameters`.

use serde::Deserialize;

/// A step from a container to a container in it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum PathStep {
    /// A member of an object.
    Member(String),
    /// An element of an array.
    Element,
}

/// The path of a member, in the form `messages[].content[].input`.
#[derive(Debug, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(try_from = "String")]
pub(super) struct MemberPath {
    /// The steps to the object with the member.
    parents: Vec<PathStep>,
    /// The name of the member.
    name: String,
}

impl MemberPath {
    /// The name of the member.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// True if this is the whole path of the member `name` of the object at `parents`.
    pub(super) fn matches_exactly(&self, parents: &[PathStep], name: &str) -> bool {
        self.name == name && self.parents == parents
    }

    /// True if these are the last steps of the path of the member `name` of the object at `parents`. The case of letters is
    /// ignored, because some parsers of JSON ignore it too.
    pub(super) fn matches_suffix(&self, parents: &[PathStep], name: &str) -> bool {
        if !self.name.eq_ignore_ascii_case(name) || self.parents.len() > parents.len() {
            return false;
        }
        let last_parents = &parents[parents.len() - self.parents.len()..];
        self.parents.iter().zip(last_parents).all(|(expected, step)| expected.is_like(step))
    }
}

impl PathStep {
    /// True if the step leads to the value of a member of this name.
    pub(super) fn is_member(&self, name: &str) -> bool {
        matches!(self, Self::Member(own_name) if own_name == name)
    }

    /// True if the steps are equal, in any case of letters.
    fn is_like(&self, other: &PathStep) -> bool {
        match (self, other) {
            (PathStep::Member(name), PathStep::Member(other_name)) => name.eq_ignore_ascii_case(other_name),
            (PathStep::Element, PathStep::Element) => true,
            _ => false,
        }
    }
}

impl TryFrom<String> for MemberPath {
    type Error = &'static str;

    /// Parses a path. Returns an error for an empty name, and for brackets that are not one `[]` at the end of a step.
    fn try_from(text: String) -> Result<Self, Self::Error> {
        let mut parts: Vec<&str> = text.split('.').collect();
        let name = parts.pop().unwrap_or_default();
        let mut parents = Vec::new();
        for part in parts {
            let member = part.strip_suffix("[]").unwrap_or(part);
            check_name(member)?;
            parents.push(PathStep::Member(member.to_owned()));
            if member != part {
                parents.push(PathStep::Element);
            }
        }
        check_name(name)?;
        Ok(Self { parents, name: name.to_owned() })
    }
}

/// Returns an error if a name in a path is empty or contains a bracket.
fn check_name(name: &str) -> Result<(), &'static str> {
    let is_valid = !name.is_empty() && !name.contains(['[', ']']);
    if is_valid { Ok(()) } else { Err("the path has an empty name, or a bracket in a name") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(name: &str) -> PathStep {
        PathStep::Member(name.to_owned())
    }

    fn path(text: &str) -> MemberPath {
        text.to_owned().try_into().unwrap()
    }

    #[test]
    fn whole_path_matches_only_from_the_root() {
        let parents = [member("tools"), PathStep::Element, member("function")];
        assert!(path("tools[].function.parameters").matches_exactly(&parents, "parameters"));
        assert!(!path("function.parameters").matches_exactly(&parents, "parameters"));
        assert!(!path("tools[].parameters").matches_exactly(&parents, "parameters"));
        assert!(path("metadata").matches_exactly(&[], "metadata"));
        assert!(!path("metadata").matches_exactly(&parents, "metadata"));
    }

    #[test]
    fn path_of_another_form_is_rejected() {
        for text in ["", "a.", ".a", "a..b", "a[]", "a[][].b", "[].a", "a[0].b", "a.b[]"] {
            assert!(MemberPath::try_from(text.to_owned()).is_err(), "{text}");
        }
    }

    #[test]
    fn name_with_a_dot_is_one_step() {
        let parents = [member("tools"), PathStep::Element];
        assert!(!path("tools[].function.parameters").matches_exactly(&parents, "function.parameters"));
        assert!(
            !path("tools[].function.parameters").matches_exactly(&[member("tools[].function")], "parameters")
        );
    }

    #[test]
    fn end_of_a_path_matches_at_any_depth_and_in_any_case() {
        let parents = [PathStep::Element, member("Voice")];
        assert!(path("id").matches_suffix(&parents, "ID"));
        assert!(path("voice.id").matches_suffix(&parents, "id"));
        assert!(!path("a[].voice.id").matches_suffix(&parents, "id"));
        assert!(!path("source.id").matches_suffix(&parents, "id"));
        assert!(!path("voice.id").matches_suffix(&[], "id"));
    }
}
