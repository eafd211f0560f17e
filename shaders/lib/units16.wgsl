// Types of the fragments of 16 x 16 of a GPU's matrix units.

enable f16;
enable wgpu_cooperative_matrix;
#import edge16

alias FragmentA = coop_mat16x16<f16, A>;
alias FragmentB = coop_mat16x16<f16, B>;
alias FragmentC = coop_mat16x16<f32, C>;
