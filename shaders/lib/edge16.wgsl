// Fragments of 16 x 16.

const EDGE = 16u;
