//! Where an upstream lives: `scheme://host:port/path` taken apart (RFC 3986, the part of it that a base URL needs),
//! and the rule that joins a base URL and an endpoint. User names and passwords never reach a message.

use crate::error::Fault;
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
