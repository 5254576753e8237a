//! An HTTP server that answers `BatchGetItem` as DynamoDB does: every user has the same value.

#![allow(unreachable_pub, reason = "for benches and tests")]

use std::net::SocketAddr;
use std::sync::mpsc::channel;
use std::thread;

use axum::Router;
use axum::body::Bytes;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::post;
use serde_json::Value;

/// The running server: it ends with the process.
pub struct Server {
    pub address: SocketAddr,
}

/// Starts it on a free port.
pub fn start(value: Vec<u8>) -> Server {
    let value: &'static str = base64(&value).leak();
    let (sender, receiver) = channel();
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            sender.send(listener.local_addr().unwrap()).unwrap();
            let answer = move |body: Bytes| async move {
                ([(CONTENT_TYPE, "application/x-amz-json-1.0")], answer(&body, value)).into_response()
            };
            axum::serve(listener, Router::new().route("/", post(answer))).await.unwrap();
        });
    });
    Server { address: receiver.recv().unwrap() }
}

/// What DynamoDB says of these keys.
fn answer(body: &[u8], value: &str) -> String {
    let asked: Value = serde_json::from_slice(body).unwrap();
    let mut tables = Vec::new();
    for (table, keys) in asked["RequestItems"].as_object().unwrap() {
        let ids = keys["Keys"].as_array().unwrap().iter().map(|key| key["id"]["S"].as_str().unwrap());
        let items: Vec<String> =
            ids.map(|id| format!("{{\"id\":{{\"S\":\"{id}\"}},\"value\":{{\"B\":\"{value}\"}}}}")).collect();
        tables.push(format!("\"{table}\":[{}]", items.join(",")));
    }
    format!("{{\"Responses\":{{{}}},\"UnprocessedKeys\":{{}}}}", tables.join(","))
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let word = chunk.iter().fold(0u32, |word, byte| word << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for digit in 0..4 {
            let known = digit <= chunk.len();
            text.push(if known { DIGITS[(word >> (18 - 6 * digit)) as usize & 63] as char } else { '=' });
        }
    }
    text
}
