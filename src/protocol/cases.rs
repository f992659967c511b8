//! The numbered cases of protocols.md 11 that need two twins, by client and upstream.

mod bounds;
mod chat_messages;
mod chat_responses;
mod complaints;
mod corners;
mod fields;
mod hostile;
mod laws;
mod messages_chat;
mod messages_responses;
mod nested;
mod pauses;
mod recorded;
mod responses_chat;
mod responses_messages;
mod table;
