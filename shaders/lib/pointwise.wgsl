// A pointwise chain: operations and registers are override constants, so the driver sees straight
// code. Registers 0..5 are operands, 6.. results.

override WG: u32 = 64u;
override COUNT: u32 = 1u;
// How operand k is loaded; 0 means there is none.
override K0: u32 = 0u; override K1: u32 = 0u; override K2: u32 = 0u;
override K3: u32 = 0u; override K4: u32 = 0u; override K5: u32 = 0u;
override OP0: u32 = 0u; override A0: u32 = 0u; override B0: u32 = 0u;
override OP1: u32 = 0u; override A1: u32 = 0u; override B1: u32 = 0u;
override OP2: u32 = 0u; override A2: u32 = 0u; override B2: u32 = 0u;
override OP3: u32 = 0u; override A3: u32 = 0u; override B3: u32 = 0u;
override OP4: u32 = 0u; override A4: u32 = 0u; override B4: u32 = 0u;
override OP5: u32 = 0u; override A5: u32 = 0u; override B5: u32 = 0u;
override OP6: u32 = 0u; override A6: u32 = 0u; override B6: u32 = 0u;
override OP7: u32 = 0u; override A7: u32 = 0u; override B7: u32 = 0u;
