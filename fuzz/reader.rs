//! One of limn's readers, by its name in `LIMN_READER`, on whatever libFuzzer makes.

#![no_main]

#[path = "../kernels-tests/readers/counting.rs"]
mod counting;
#[path = "../kernels-tests/readers/judge.rs"]
mod judge;

use libfuzzer_sys::fuzz_target;
use limn::readers::{self, Reader};
use std::sync::OnceLock;

#[global_allocator]
static ALLOCATOR: counting::Counting = counting::Counting;

fn reader() -> &'static Reader {
    static READER: OnceLock<&Reader> = OnceLock::new();
    READER.get_or_init(|| {
        let name = std::env::var("LIMN_READER").unwrap_or_default();
        let found = readers::all().into_iter().find(|reader| reader.name == name);
        found.unwrap_or_else(|| panic!("LIMN_READER={name} names none of limn's readers"))
    })
}

fuzz_target!(|bytes: &[u8]| {
    if let Err(wrong) = judge::judge(reader(), bytes) {
        panic!("{}: {wrong}", reader().name);
    }
});
