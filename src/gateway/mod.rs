//! THE PRODUCT. Knows everyone below; parses no raw bytes and names no provider's fields.

//pub mod access;
//pub mod demo;
//pub mod models;
pub mod usage;
