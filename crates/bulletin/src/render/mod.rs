//! Faces of a bulletin, all from the same value: text for terminals, one HTML page, JSON.
//!
//! Every text is made harmless in one place before a renderer sees it ([`safe::harmless`]): none of them can forget to.

pub mod safe;
pub mod text;
mod words;

pub use text::text;
pub use words::{counted, grouped};

pub mod advisory;
pub mod html;
pub use html::html;
