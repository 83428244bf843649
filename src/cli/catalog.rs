//! `brownout catalog`.

use std::io::{self, Write};

use mock_server::{
    action::ErrorKind,
    catalog::{self, Entry, Place},
    plan::{ProviderName, Route},
};
use serde_json::{Value, json};

use super::{Catalog, CatalogFormat, CliError, Ending};

pub(super) fn execute(asked: &Catalog) -> Result<Ending, CliError> {
    let entries = entries(asked).map_err(CliError::NotInCatalog)?;
    let mut stdout = io::stdout().lock();
    let written = match (asked.format, &asked.fault, &asked.case) {
        (CatalogFormat::Json, _, _) => list_for_programs(&entries, &mut stdout),
        (CatalogFormat::Text, None, _) => list(&entries, &mut stdout),
        (CatalogFormat::Text, Some(_), None) => with_headings(&entries, &mut stdout),
        (CatalogFormat::Text, Some(_), Some(_)) => bytes(&entries, &mut stdout),
    };
    written.and_then(|()| stdout.flush()).map_err(CliError::Output)?;
    Ok(Ending::Held)
}

/// The failures that were asked for, or what is wrong with the words.
fn entries(asked: &Catalog) -> Result<Vec<Entry>, String> {
    let provider = asked.provider.as_deref();
    let provider = ProviderName::ALL.into_iter().find(|known| Some(known.name()) == provider);
    let kind = asked.fault.as_deref();
    let kind = ErrorKind::ALL.into_iter().find(|known| Some(known.name()) == kind);
    let found: Vec<Entry> = catalog::entries()
        .filter(|entry| provider.is_none_or(|provider| provider == entry.provider()))
        .filter(|entry| kind.is_none_or(|kind| kind == entry.kind()))
        .collect();
    let (provider, kind) =
        (provider.map_or("", ProviderName::name), kind.map_or("", ErrorKind::name));
    if found.is_empty() {
        return Err(format!(
            "`{provider}` knows no `{kind}`; `brownout catalog {provider}` lists what it knows"
        ));
    }
    let Some(case) = asked.case.as_deref() else { return Ok(found) };
    let cases: Vec<&str> = found.iter().map(Entry::case).collect();
    let named: Vec<Entry> = found.iter().copied().filter(|entry| entry.case() == case).collect();
    if named.is_empty() {
        return Err(format!(
            "no `{kind}` of `{provider}` is called `{case}`; there is {}",
            cases.iter().map(|case| format!("`{case}`")).collect::<Vec<_>>().join(", ")
        ));
    }
    Ok(named)
}

/// One line for each failure.
fn list(entries: &[Entry], out: &mut dyn Write) -> io::Result<()> {
    let mut provider = None;
    for entry in entries {
        if provider.replace(entry.provider()) != Some(entry.provider()) {
            writeln!(out, "{}", entry.provider().name())?;
        }
        let sample = entry.sample();
        let status = match entry.place() {
            Place::Answer => sample.status.to_string(),
            Place::Stream => "in stream".to_owned(),
        };
        let usual = if entry.is_usual() { "usual" } else { "" };
        writeln!(
            out,
            "  {:<18} {:<28} {status:<10} {usual:<6} {:<11} {}",
            entry.kind().name(),
            entry.case(),
            entry.provenance().name(),
            entry.source(),
        )?;
    }
    Ok(())
}

/// The bytes of each failure, under a line that says what it is.
fn with_headings(entries: &[Entry], out: &mut dyn Write) -> io::Result<()> {
    for (index, entry) in entries.iter().enumerate() {
        let gap = if index > 0 { "\n\n" } else { "" };
        let place = match entry.place() {
            Place::Answer => "",
            Place::Stream => ", inside a stream",
        };
        let provenance = entry.provenance().name();
        let (kind, case, source) = (entry.kind().name(), entry.case(), entry.source());
        writeln!(out, "{gap}# {kind}: {case}{place} ({provenance}: {source})")?;
        out.write_all(&entry.sample().bytes)?;
    }
    writeln!(out)
}

/// The bytes, and nothing else.
fn bytes(entries: &[Entry], out: &mut dyn Write) -> io::Result<()> {
    entries.iter().try_for_each(|entry| out.write_all(&entry.sample().bytes))
}

/// Everything, as JSON.
fn list_for_programs(entries: &[Entry], out: &mut dyn Write) -> io::Result<()> {
    let entries: Vec<Value> = entries.iter().map(for_programs).collect();
    let list = json!({ "schema": "brownout.catalog/1", "entries": entries });
    writeln!(out, "{list:#}")
}

fn for_programs(entry: &Entry) -> Value {
    let sample = entry.sample();
    let routes: Vec<&str> = entry.routes().map(Route::name).collect();
    let headers: Vec<[&str; 2]> =
        sample.headers.iter().map(|(name, value)| [*name, value.as_str()]).collect();
    // A binary frame is no text: its bytes are given in hexadecimal digits.
    let (body, hex) = match String::from_utf8(sample.body) {
        Ok(text) => (Some(text), None),
        Err(binary) => {
            let hex = binary.as_bytes().iter().map(|byte| format!("{byte:02x}"));
            (None, Some(hex.collect::<String>()))
        }
    };
    json!({
        "provider": entry.provider().name(),
        "fault": entry.kind().name(),
        "case": entry.case(),
        "place": entry.place().name(),
        "usual": entry.is_usual(),
        "routes": routes,
        "status": sample.status,
        "headers": headers,
        "body": body,
        "body_hex": hex,
        "provenance": entry.provenance().name(),
        "source": entry.source(),
    })
}
