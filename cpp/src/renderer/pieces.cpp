#include "renderer/pieces.hpp"

#include <string>

namespace diffrt::renderer {
namespace {

constexpr double identity2[4] = {1, 0, 0, 1};

}  // namespace

Nodes make_nodes(const scene::Parameters& parameters) {
  Nodes nodes;
  nodes.of.reserve(parameters.size());
  std::string last;  // the sphere or plane whose block came last
  for (const ParameterBlock& block : parameters.blocks()) {
    const std::size_t dot = block.name.find('.');
    const std::string field = block.name.substr(dot + 1);
    const bool in_parts = field == "vertices";
    const bool alone = in_parts || field == "pose" || field == "focal" || field == "principal";
    std::string owner = alone ? std::string() : block.name.substr(0, dot);
    const std::size_t width = in_parts ? 3 : block.size, end = block.offset + block.size;
    if (!alone && owner == last && end - nodes.starts[nodes.starts.size() - 2] <= Pieces::widest)
      nodes.starts.pop_back();
    for (std::size_t column = block.offset; column < end; column += width) {
      nodes.of.insert(nodes.of.end(), width, nodes.count());
      nodes.starts.push_back(static_cast<int>(column + width));
    }
    last = std::move(owner);
  }
  return nodes;
}

void Pieces::add(const Nodes& nodes, int column, int first_slot, int slots, const double* S) {
  if (column < 0) return;
  const int node = nodes.of[static_cast<std::size_t>(column)], width = nodes.width(node);
  pieces_[static_cast<std::size_t>(count_++)] = {node, width, first_slot, slots, width, S};
}

// The columns of a node lie side by side, as columns ascend.
void Pieces::set(const Block& block, const Nodes& nodes) {
  const int width = block.width(),
            slots = width == 0 ? 0 : static_cast<int>(block.coefficients.size()) / width;
  for (int k = 0; k < width;) {
    const int node = nodes.of[static_cast<std::size_t>(block.columns[static_cast<std::size_t>(k)])];
    Piece& piece = pieces_[static_cast<std::size_t>(count_++)];
    piece = {node, nodes.width(node), 0, slots, width, block.coefficients.data() + k};
    k += piece.width;
  }
}

void Pieces::set(const Linearization& linearization, const GroupLinearization& group, int index,
                 const Nodes& nodes) {
  count_ = 0;
  if (group.kind != GroupKind::free_mesh)
    return set(group.blocks[group.kind == GroupKind::rigid_mesh ? 0 : static_cast<std::size_t>(index)],
               nodes);
  const auto& mesh = group.mesh;
  const scene::CameraColumns& camera = linearization.camera();
  for (int corner = 0; corner < 3; ++corner)
    add(nodes, mesh.vertices_column + 3 * mesh.faces[3 * index + corner], 3 * corner, 3, mesh.by_vertex);
  if (mesh.mesh_column >= 0 || camera.pose >= 0)
    linearization.triangle_by_poses(mesh, index, mesh_pose_, camera_pose_);
  add(nodes, mesh.mesh_column, 0, 9, mesh_pose_);
  add(nodes, camera.pose, 0, 9, camera_pose_);
  add(nodes, camera.focal, 9, 2, identity2);
  add(nodes, camera.principal, 11, 2, identity2);
}

}  // namespace diffrt::renderer
