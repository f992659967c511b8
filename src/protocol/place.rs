//! Where something stands in a client's request, put into words only for who is told of it: almost nobody is.

use std::fmt;

/// `messages[3].content[0].type`, from the last step back to the first.
#[derive(Clone, Copy)]
pub enum Place<'p> {
    /// A field of the top level, or a path that is words already.
    Field(&'p str),
    /// A member of what stands there.
    Member(&'p Place<'p>, &'p str),
    /// An element of it.
    Element(&'p Place<'p>, usize),
}

impl<'p> Place<'p> {
    /// A member of what stands here.
    pub fn member(&'p self, key: &'p str) -> Place<'p> {
        Place::Member(self, key)
    }

    /// An element of it.
    pub fn element(&'p self, index: usize) -> Place<'p> {
        Place::Element(self, index)
    }
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Field(field) => f.write_str(field),
            Place::Member(of, key) => write!(f, "{of}.{key}"),
            Place::Element(of, index) => write!(f, "{of}[{index}]"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Place;

    #[test]
    fn it_reads_as_a_path() {
        let messages = Place::Field("messages");
        let message = messages.element(3);
        let content = message.member("content");
        assert_eq!(content.element(0).to_string(), "messages[3].content[0]");
    }
}
