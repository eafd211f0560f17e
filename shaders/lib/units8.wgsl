// Types of the fragments of 8 x 8 of a GPU's matrix units.

enable f16;
enable wgpu_cooperative_matrix;
#import edge8

alias FragmentA = coop_mat8x8<f16, A>;
alias FragmentB = coop_mat8x8<f16, B>;
alias FragmentC = coop_mat8x8<f32, C>;
