//! The throughput and the memory of a large run: 31 days, 12,000 keys, 10 line items. Run it with
//! `cargo test --release --test spend -- --ignored --nocapture NAME`, one test in a process.
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::{fs, thread};

use tower_api_key_name::names::Provider;
use tower_api_key_name::{KeyNames, SharedKeyNames};

use api_key_name_proxy::spend::{Dimension, Every, SpendQuery, run};

use crate::organization::{FakeApi, NOW, day};

const KEYS: usize = 12_000;
const LINE_ITEMS: usize = 10;
const DAYS: u64 = 31;

/// Writes one page: all rows of one day.
fn write_page(page: &mut impl Write, start_time: u64, has_more: bool) -> io::Result<()> {
    let end_time = start_time + 86_400;
    write!(page, r#"{{"object":"page","data":[{{"object":"bucket","start_time":{start_time},"results":["#)?;
    for row in 0..KEYS * LINE_ITEMS {
        let key = row / LINE_ITEMS;
        let item = row % LINE_ITEMS;
        if row > 0 {
            page.write_all(b",")?;
        }
        write!(
            page,
            r#"{{"object": "organization.costs.result", "amount": {{"value": 0.00{:08}{:08}{:08}000000000, "#,
            row,
            start_time % 100_000_000,
            row * 7
        )?;
        write!(
            page,
            r#""currency": "usd"}}, "line_item": "gpt-5-2025-08-07-variant-{item}, cached input tokens", "#
        )?;
        write!(page, r#""project_id": "proj_{:024}", "project_name": null, "user_id": null, "#, key / 100)?;
        write!(page, r#""user_email": null, "organization_id": "org-0123456789abcdefghijklmn", "#)?;
        write!(page, r#""organization_name": "Example organization", "api_source": "unlabeled", "#)?;
        write!(page, r#""api_key_id": "key_{key:024}", "quantity": {}.5, "#, row * 13)?;
        write!(page, r#""quantity_unit": "input_tokens"}}"#)?;
    }
    let cursor = if has_more { format!("\"page_{end_time}\"") } else { "null".to_owned() };
    write!(page, r#"],"end_time":{end_time}}}],"has_more":{has_more},"next_page":{cursor}}}"#)
}

/// Writes each buffer as a chunk (RFC 9112 §7.1).
struct ChunkWriter(TcpStream);

impl Write for ChunkWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        write!(self.0, "{:x}\r\n", bytes.len())?;
        self.0.write_all(bytes)?;
        self.0.write_all(b"\r\n")?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Counts bytes.
#[derive(Default)]
struct Counter(u64);

impl Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Serves the requests of one connection. Returns at its end.
fn serve(stream: TcpStream) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    loop {
        let mut target = String::new();
        if reader.read_line(&mut target).unwrap_or(0) == 0 {
            return;
        }
        let mut line = String::new();
        while reader.read_line(&mut line).unwrap() > 2 {
            line.clear();
        }
        let number = |name: &str| -> Option<u64> {
            let rest = target.split_once(name)?.1;
            rest.split(['&', ' ']).next()?.parse().ok()
        };
        let start = number("&page=page%5F").or(number("start_time=")).unwrap();
        let has_more = start + 86_400 < number("end_time=").unwrap();
        let mut connection = stream.try_clone().unwrap();
        connection
            .write_all(
                b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n",
            )
            .unwrap();
        let mut page = BufWriter::with_capacity(64 << 10, ChunkWriter(stream.try_clone().unwrap()));
        write_page(&mut page, start, has_more).unwrap();
        page.flush().unwrap();
        connection.write_all(b"0\r\n\r\n").unwrap();
    }
}

/// Returns the CPU time of this thread in seconds.
fn cpu_seconds() -> f64 {
    let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    text.split(' ').next().unwrap().parse::<f64>().unwrap() / 1e9
}

/// Returns a field of this process's status in bytes.
fn status_bytes(name: &str) -> u64 {
    let text = fs::read_to_string("/proc/self/status").unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.trim_matches(|c: char| !c.is_ascii_digit()).parse::<u64>().unwrap() * 1024
}

/// Runs a query over the large organization. Checks its memory, and prints the MB of input per second of CPU time.
fn measure(dimensions: &[Dimension]) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let mut page_len = Counter::default();
    write_page(&mut page_len, 1_793_491_200, true).unwrap();
    let input_len = (page_len.0 * DAYS) as f64;
    thread::spawn(move || {
        for stream in listener.incoming() {
            serve(stream.unwrap());
        }
    });
    let names = (0..KEYS).map(|key| (format!("key_{key:024}"), format!("key of team {}", key / 2)));
    let api = FakeApi::new(base, SharedKeyNames::new(KeyNames::new(names).unwrap()));
    let days = api_key_name_proxy::spend::DayRange { first: day("2026-11-01"), last: day("2026-12-01") };
    let query = SpendQuery::new(days, Every::Day, dimensions.to_vec(), vec![Provider::OpenAi]).unwrap();
    let upstream = api.upstream(&query, Provider::OpenAi);

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    fs::write("/proc/self/clear_refs", "5").unwrap();
    let baseline = status_bytes("VmHWM:");
    let start = cpu_seconds();
    let report = runtime.block_on(async { run(query, vec![upstream], NOW.parse().unwrap(), |_| {}).await });
    let seconds = cpu_seconds() - start;
    let memory = status_bytes("VmHWM:") - baseline;

    assert_eq!(report.missing_costs, [""; 0]);
    let row_count = report.rows().len() as u64;
    let pair_count: u64 = report.rows().map(|row| u64::from(row.key_count.unwrap())).sum();
    let throughput = input_len / 1e6 / seconds;
    let memory_limit = (row_count + pair_count) * 256 + (32 << 20);
    println!(
        "{row_count} rows, {pair_count} pairs: {:.0} MB of input, {seconds:.1} s of CPU time, {throughput:.0} MB/s, \
         {} MiB of memory, {} MiB allowed",
        input_len / 1e6,
        memory >> 20,
        memory_limit >> 20
    );
    assert!(memory < memory_limit);
}

#[test]
#[ignore = "takes a minute, and needs a release build"]
fn memory_of_day_totals_by_key_name_is_bounded() {
    measure(&[Dimension::KeyName]);
}

#[test]
#[ignore = "takes a minute, and needs a release build"]
fn memory_of_rows_by_key_and_line_item_is_bounded() {
    // 3.7 million rows of output.
    measure(&[Dimension::KeyId, Dimension::LineItem]);
}
