// Tiles of f32: operands stand in workgroup memory as they are.
alias Operand = f32;

fn prepare(tid: u32) {}

fn operand_a(value: f32) -> f32 { return value; }

fn operand_b(value: f32) -> f32 { return value; }

fn unscaled(sum: f32) -> f32 { return sum; }

fn unscaled_b(sum: f32) -> f32 { return sum; }
