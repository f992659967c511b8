//! Tools whose vendor fixed the shape of their input, as the functions they are offered as (protocols.md 5.7).

use crate::protocol::neutral::Builtin;

/// What the model is told of it, and the schema of its arguments.
pub fn schema(builtin: Builtin) -> (&'static str, &'static str) {
    match builtin {
        Builtin::LocalShell => (
            "Run a command on the user's machine.",
            r#"{"type":"object","properties":{"command":{"type":"array","items":{"type":"string"}},"workdir":{"type":"string"},"timeout_ms":{"type":"integer"},"env":{"type":"object","additionalProperties":{"type":"string"}}},"required":["command"]}"#,
        ),
        Builtin::Shell => (
            "Run shell commands, one after another.",
            r#"{"type":"object","properties":{"commands":{"type":"array","items":{"type":"string"}},"timeout_ms":{"type":"integer"},"max_output_length":{"type":"integer"}},"required":["commands"]}"#,
        ),
        Builtin::ApplyPatch => (
            "Create, change or delete a file. `diff` is a V4A diff; it is left out when a file is deleted.",
            r#"{"type":"object","properties":{"type":{"type":"string","enum":["create_file","update_file","delete_file"]},"path":{"type":"string"},"diff":{"type":"string"}},"required":["type","path"]}"#,
        ),
        Builtin::ToolSearch => (
            "Find tools that are not listed yet.",
            r#"{"type":"object","properties":{"query":{"type":"string"},"limit":{"type":"integer"}},"required":["query"]}"#,
        ),
        Builtin::Bash => (
            "Run a command in a persistent bash session, or restart the session.",
            r#"{"type":"object","properties":{"command":{"type":"string"},"restart":{"type":"boolean"}}}"#,
        ),
        Builtin::TextEditor => (
            "View, create and edit text files: view, create, str_replace, insert.",
            r#"{"type":"object","properties":{"command":{"type":"string","enum":["view","create","str_replace","insert","undo_edit"]},"path":{"type":"string"},"file_text":{"type":"string"},"old_str":{"type":"string"},"new_str":{"type":"string"},"insert_line":{"type":"integer"},"insert_text":{"type":"string"},"view_range":{"type":"array","items":{"type":"integer"}}},"required":["command","path"]}"#,
        ),
        Builtin::Memory => (
            "Read and write the files of a memory directory: view, create, str_replace, insert, delete, rename.",
            r#"{"type":"object","properties":{"command":{"type":"string","enum":["view","create","str_replace","insert","delete","rename"]},"path":{"type":"string"},"view_range":{"type":"array","items":{"type":"integer"}},"file_text":{"type":"string"},"old_str":{"type":"string"},"new_str":{"type":"string"},"insert_line":{"type":"integer"},"insert_text":{"type":"string"},"old_path":{"type":"string"},"new_path":{"type":"string"}},"required":["command"]}"#,
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::json;

    #[test]
    fn every_schema_is_json() {
        for builtin in [
            Builtin::LocalShell,
            Builtin::Shell,
            Builtin::ApplyPatch,
            Builtin::ToolSearch,
            Builtin::Bash,
            Builtin::TextEditor,
            Builtin::Memory,
        ] {
            json::validate(schema(builtin).1.as_bytes()).unwrap();
        }
    }
}
