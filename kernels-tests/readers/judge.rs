//! Whether a reader does right by a file.

use super::counting::counted;
use limn::readers::Reader;

/// Has a reader read a file. The error is what the reader did wrong, and not what is wrong with the file, which is
/// returned; a panic goes through.
pub fn judge(reader: &Reader, bytes: &[u8]) -> Result<Result<(), String>, String> {
    let (read, held) = counted(|| (reader.read)(bytes));
    let most = (reader.most)(bytes.len() as u64);
    if held > most {
        return Err(format!("it held {held} bytes at once, and a file of {} may take {most}", bytes.len()));
    }
    match &read {
        Err(words) if words.trim().is_empty() => Err("it says nothing of what is wrong".into()),
        _ => Ok(read),
    }
}
