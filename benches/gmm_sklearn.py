# The preset `gmm` beside scikit-learn's GaussianMixture: the same MNIST pixels (grey / 255, no noise), the same number of
# diagonal components, iterations and floor under the variances, from random images (`images`: unit variances and equal
# weights, as limn begins) or from scikit-learn's own k-means (`kmeans`). Prints mean log-likelihoods in nats an image.
# usage: python3 benches/gmm_sklearn.py FOLDER_OF_MNIST [components iterations floor]
import sys, time, warnings
import numpy as np
from sklearn.mixture import GaussianMixture

folder, rest = sys.argv[1], sys.argv[2:] or [100, 30, 0.001]
k, iterations, floor = int(rest[0]), int(rest[1]), float(rest[2])
warnings.filterwarnings("ignore", "Best performing initialization did not converge")

def images(name):
    return np.fromfile(f"{folder}/{name}-images-idx3-ubyte", np.uint8)[16:].reshape(-1, 784) / 255.0

train, test = images("train"), images("t10k")
for start in ["images 0", "images 1", "images 2", "kmeans 0"]:
    kind, seed = start.split()
    given = {"init_params": "kmeans"}
    if kind == "images":
        means = train[np.random.default_rng(int(seed)).choice(len(train), k, replace=False)]
        given = {"means_init": means, "precisions_init": np.ones((k, 784)), "weights_init": np.full(k, 1 / k)}
        # Whatever it begins with is overwritten; this costs the least.
        given["init_params"] = "random_from_data"
    mixture = GaussianMixture(k, covariance_type="diag", reg_covar=floor, max_iter=iterations, tol=0.0,
                              random_state=int(seed), **given)
    begun = time.time()
    mixture.fit(train)
    seconds = time.time() - begun
    print(f"{start}: train {mixture.score(train):.2f}, test {mixture.score(test):.2f}, {seconds:.0f} s", flush=True)
