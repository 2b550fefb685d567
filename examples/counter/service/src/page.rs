//! The page, as text.

use crate::configuration::{COUNT, Configuration};
use crate::database::Visits;

/// Sent with every page: nothing is loaded from anywhere.
pub const POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'";

/// The page with the numbers.
pub fn page(configuration: &Configuration, visits: Visits) -> String {
    let title = html(&configuration.title);
    let greeting = html(&configuration.greeting).replace(COUNT, &visits.total.to_string());
    let more =
        configuration.more_url.as_deref().map(|url| format!("<p><a href=\"{}\">More</a></p>\n", html(url)));
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width\">\n\
         <title>{title}</title>\n<style>:root {{ color-scheme: light dark; font: 17px/1.5 system-ui, sans-serif }}\n\
         body {{ max-width: 40rem; margin: 3rem auto; padding: 0 1rem }}</style>\n\
         <h1>{title}</h1>\n<p>{greeting}</p>\n<p>Visits: {} in all, {} today.</p>\n\
         <form method=\"post\" action=\"/count\"><button>Count me</button></form>\n{}",
        visits.total,
        visits.today,
        more.unwrap_or_default(),
    )
}

fn html(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::Level;

    #[test]
    fn settings_are_text_and_never_markup() {
        let configuration = Configuration {
            title: "<b>".to_owned(),
            greeting: "Visit {count} & more".to_owned(),
            more_url: Some("https://example.com/?a=\"".to_owned()),
            clients: None,
            workers: 1,
            log_level: Level::Error,
            reset_token: "secret".to_owned(),
        };
        let page = page(&configuration, Visits { total: 7, today: 2 });
        assert!(page.contains("<h1>&lt;b&gt;</h1>") && page.contains("Visit 7 &amp; more"));
        assert!(page.contains("a=&quot;\"") && !page.contains("secret"));
    }
}
