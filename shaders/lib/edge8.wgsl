// Fragments of 8 x 8.

const EDGE = 8u;
