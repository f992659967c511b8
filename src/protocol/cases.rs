//! The numbered cases of protocols.md 11 that need two twins: one file a pair, named client first.

mod chat_responses;
mod responses_chat;
