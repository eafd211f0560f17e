//! Tables of numbers, a vector a line.

use super::numbers::Array;

/// The numbers of a table. Its first line may be names.
pub(super) fn read(bytes: &[u8]) -> Result<Array, String> {
    let mut reader =
        csv::ReaderBuilder::new().has_headers(false).flexible(true).trim(csv::Trim::All).from_reader(bytes);
    let (mut values, mut width, mut rows) = (Vec::new(), None, 0);
    for (line, record) in reader.records().enumerate() {
        let record = record.map_err(|e| format!("line {} cannot be read ({e})", line + 1))?;
        let row: Result<Vec<f32>, String> =
            record.iter().map(|field| field.parse().map_err(|_| field.to_string())).collect();
        match row {
            Err(_) if line == 0 => {}
            Err(field) => return Err(format!("\"{field}\" in line {} is no number", line + 1)),
            Ok(row) => {
                let width = *width.get_or_insert(row.len());
                if row.len() != width {
                    return Err(format!("line {} has {} numbers, and those before it {width}", line + 1, row.len()));
                }
                values.extend(row);
                rows += 1;
            }
        }
    }
    Ok(Array { shape: vec![rows, width.unwrap_or(0)], values })
}
