#include "config/yaml_reader.h"

namespace sluice::config {

std::string schema() {
  Json s = {{"$schema", "https://json-schema.org/draft/2020-12/schema"},
            {"title", "sluice configuration"},
            {"description",
             "One file describes the box. 'sluiced check -c FILE' finds more than a schema can: "
             "references, overlaps, memory."}};
  s.update(root_keys().schema());
  return s.dump(2) + "\n";
}

}  // namespace sluice::config
