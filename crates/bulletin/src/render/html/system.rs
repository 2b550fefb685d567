//! Topics on the page: those with changes as tables, the others in one list that says what was compared.

use super::super::words::{self, counted};
use crate::facts::{Bulletin, Change, Item, Topic, TopicId};

pub struct Changed<'a> {
    pub id: String,
    pub title: &'a str,
    pub compared: &'a str,
    pub count: String,
    pub wider: bool,
    pub items: Vec<Row<'a>>,
}

pub struct Row<'a> {
    pub sign: char,
    pub tone: &'static str,
    pub what: &'a str,
    pub old: Option<&'a str>,
    pub new: Option<&'a str>,
    pub origin: String,
    pub wider: bool,
}

pub struct Quiet<'a> {
    pub id: String,
    pub title: &'a str,
    pub compared: &'a str,
}

/// Where a topic is on the page.
pub fn anchor(id: TopicId) -> String {
    let name = serde_json::to_value(id).ok();
    format!("topic-{}", name.as_ref().and_then(serde_json::Value::as_str).unwrap_or_default())
}

pub fn changed(it: &Bulletin) -> Vec<Changed<'_>> {
    let topics = it.topics.iter().filter(|topic| !topic.items.is_empty());
    topics
        .map(|topic: &Topic| Changed {
            id: anchor(topic.id),
            title: &topic.title,
            compared: &topic.compared,
            count: counted(topic.items.len(), "change", "changes"),
            wider: topic.items.iter().any(|item| item.widens),
            items: topic.items.iter().map(row).collect(),
        })
        .collect()
}

pub fn quiet(it: &Bulletin) -> Vec<Quiet<'_>> {
    let topics = it.topics.iter().filter(|topic| topic.items.is_empty());
    topics
        .map(|topic| Quiet { id: anchor(topic.id), title: &topic.title, compared: &topic.compared })
        .collect()
}

fn row(item: &Item) -> Row<'_> {
    Row {
        sign: words::sign(item.change),
        tone: match item.change {
            Change::Added => "added",
            Change::Removed => "removed",
            Change::Changed => "changed",
        },
        what: &item.what,
        old: item.old.as_deref(),
        new: item.new.as_deref(),
        origin: item.origin.as_deref().map(|origin| origin.replacen(':', " ", 1)).unwrap_or_default(),
        wider: item.widens,
    }
}
