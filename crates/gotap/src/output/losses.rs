//! What a command that prints events has lost, by reason: a member of its summary in JSON, else a line for each.

use serde_json::{Map, Value, json};

/// Key in JSON, count, and what those were, as the end of a sentence.
pub(crate) type Loss = (&'static str, u64, &'static str);

/// All reasons with their counts, also those that are zero.
pub(crate) fn to_json(losses: &[Loss]) -> Value {
    let members = losses.iter().map(|(key, count, _)| ((*key).to_owned(), json!(count)));
    Value::Object(members.collect::<Map<_, _>>())
}

/// A line on standard error for each reason that there was; gives what the last line says if there was none.
pub(crate) fn say(losses: &[Loss]) -> &'static str {
    let mut none = ", none lost";
    for (_, count, what) in losses.iter().filter(|(_, count, _)| *count > 0) {
        crate::output::note(format!("lost: {count} {what}"));
        none = "";
    }
    none
}
