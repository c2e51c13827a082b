// Keyed hash over attacker-chosen bytes. Folded 64x64->128 multiplication with a secret 256-bit key:
// without the key, colliding inputs cannot be computed in advance; a key lives as long as the process.
// Not a MAC: cookies and ISNs use a real PRF.
#pragma once

#include <cstdint>

namespace sluice {

struct HashKey {
  uint64_t k[4];
};

inline uint64_t fold_multiply(uint64_t a, uint64_t b) {
  unsigned __int128 p = static_cast<unsigned __int128>(a) * b;
  return static_cast<uint64_t>(p) ^ static_cast<uint64_t>(p >> 64);
}

inline uint64_t hash_words(const HashKey& key, uint64_t a, uint64_t b) {
  return fold_multiply(fold_multiply(a ^ key.k[0], b ^ key.k[1]) ^ key.k[2], key.k[3] | 1);
}

inline uint64_t hash_words(const HashKey& key, const uint64_t* w, unsigned n) {
  uint64_t h = key.k[2] ^ n;
  unsigned i = 0;
  for (; i + 1 < n; i += 2) h = fold_multiply(w[i] ^ key.k[0] ^ h, w[i + 1] ^ key.k[1]);
  if (i < n) h = fold_multiply(w[i] ^ key.k[0], h ^ key.k[1]);
  return fold_multiply(h ^ key.k[2], key.k[3] | 1);
}

}  // namespace sluice
