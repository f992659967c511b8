//! Who makes the server that is asked, and how its host gives it away.

/// Who makes the server; decides the defaults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Vendor {
    OpenAi,
    Anthropic,
    DeepSeek,
    Qwen,
    Kimi,
    Glm,
    Gemini,
    Mistral,
    Groq,
    Xai,
    OpenRouter,
    MiniMax,
    Vllm,
    Sglang,
    LlamaCpp,
    Ollama,
    Generic,
}

/// Kinds as the configuration spells them.
pub const KINDS: [(&str, Vendor); 17] = [
    ("openai", Vendor::OpenAi),
    ("anthropic", Vendor::Anthropic),
    ("deepseek", Vendor::DeepSeek),
    ("qwen", Vendor::Qwen),
    ("kimi", Vendor::Kimi),
    ("glm", Vendor::Glm),
    ("gemini", Vendor::Gemini),
    ("mistral", Vendor::Mistral),
    ("groq", Vendor::Groq),
    ("xai", Vendor::Xai),
    ("openrouter", Vendor::OpenRouter),
    ("minimax", Vendor::MiniMax),
    ("vllm", Vendor::Vllm),
    ("sglang", Vendor::Sglang),
    ("llamacpp", Vendor::LlamaCpp),
    ("ollama", Vendor::Ollama),
    ("generic", Vendor::Generic),
];

impl Vendor {
    /// The vendor that a `kind` of the configuration names.
    pub fn of(kind: &str) -> Option<Vendor> {
        KINDS
            .iter()
            .find(|(name, _)| *name == kind)
            .map(|&(_, vendor)| vendor)
    }

    /// The kind whose official host that is; `generic` for any other.
    pub fn guess(host: &str) -> &'static str {
        const HOSTS: [(&str, &str); 18] = [
            ("openai.com", "openai"),
            ("openai.azure.com", "openai"),
            ("chatgpt.com", "openai"),
            ("anthropic.com", "anthropic"),
            ("deepseek.com", "deepseek"),
            ("aliyuncs.com", "qwen"),
            ("moonshot.cn", "kimi"),
            ("moonshot.ai", "kimi"),
            ("kimi.com", "kimi"),
            ("bigmodel.cn", "glm"),
            ("z.ai", "glm"),
            ("googleapis.com", "gemini"),
            ("mistral.ai", "mistral"),
            ("groq.com", "groq"),
            ("x.ai", "xai"),
            ("openrouter.ai", "openrouter"),
            ("minimax.io", "minimax"),
            ("minimaxi.com", "minimax"),
        ];
        let hit = HOSTS.iter().find(|(domain, _)| {
            host.strip_suffix(domain)
                .is_some_and(|front| front.is_empty() || front.ends_with('.'))
        });
        hit.map_or("generic", |&(_, kind)| kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_name_their_kind() {
        assert_eq!(Vendor::guess("api.openai.com"), "openai");
        assert_eq!(Vendor::guess("x.ai"), "xai");
        assert_eq!(Vendor::guess("notx.ai"), "generic");
    }
}
