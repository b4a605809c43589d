// An evaluator on a GPU: each kind of evaluation is one recorded sequence over all tiles at once.
//
// Small things are computed on the host, in float64 (placement.hpp), and go up together; the sequence
// prepares triangles, makes tile lists, finds what each pixel sees, shows it, and goes on to an image, to
// rows, or to sums; what comes down is that image, or a record per primitive and three numbers per tile.
// Numbers of all tiles lie in blocks as a thread's do on the CPU (tiles.hpp): [tiles, channels, planes,
// pixels of a tile].
#pragma once

#include <array>
#include <functional>
#include <map>
#include <memory>
#include <tuple>

#include "module/loss_on_device.hpp"
#include "renderer/device/crossed.hpp"
#include "renderer/device/device_observation.hpp"
#include "renderer/evaluator.hpp"

namespace diffrt::renderer::gpu {

class DeviceEvaluator : public Evaluator {
 public:
  DeviceEvaluator(Scene scene, RendererOptions options, std::shared_ptr<runtime::Device> device);
  ~DeviceEvaluator() override;
  std::string device() const override { return device_->details().device; }
  void use_stream(runtime::Stream stream) override;
  runtime::Stream stream() const override { return device_->handle(stream_); }
  void wait_for(runtime::Stream stream) override;

 protected:
  void draw(Span<float> image) override;
  void draw_rows(Span<float> image, RowStorage& rows) override;
  DeviceArray draw_on_device() override;
  std::shared_ptr<const RowsElsewhere> draw_rows_on_device(DeviceArray* image) override;
  void check_usable() const override { device_->check_usable(); }
  bool reads_addresses() const override { return device_->kind() == runtime::DeviceKind::cuda; }
  void fetch_view(const ImageView& view, Span<float> out) override;
  Totals sum_costs(const Observation& observation, const KernelLoss& loss, SharedCost* shared) override;
  void start_products(const Observation& observation, const KernelLoss& loss, Products products,
                      bool remember) override;
  Totals finish_products() override;
  void assemble(SparseSums& H, Span<double> g) override;
  void send_edges() override;

 private:
  // What a sequence leads to. That of `kept` kinds stays on the device.
  enum class Kind {
    image,
    rows,
    image_and_rows,
    kept_image,
    kept_rows,
    kept_image_and_rows,
    cost,
    shared_cost,
    products,
    scatter
  };
  static bool shows_image(Kind kind);
  static bool shows_rows(Kind kind);
  static bool is_kept(Kind kind);
  // Which loss, or of kept kinds which turn; whether costs are remembered, whether what is observed is read.
  using Key = std::tuple<Kind, int, bool, bool>;

  // device_evaluator.cpp:
  void start(Key key);
  void finish();
  void run(const Key& key) {
    start(key);
    finish();
  }
  std::unique_ptr<Recording> record(const Key& key);
  // Makes room for lists that had not enough. Whether there were any.
  bool grow_lists();
  // Who holds the last results while the next are computed gets memory that takes turns. So do two
  // recordings: each has the addresses of its turn, and sends none.
  int turn_of(Kind kind);
  int numbers(int planes) const { return grid_.tiles() * planes * tile_pixels; }
  static void make_room(runtime::Device& device, runtime::DeviceBuffer<float>& buffer, std::size_t size);

  // record_scene.cpp: what all kinds begin with, but for scenes that are drawn at once.
  void record_scene(Recording& recording, bool observes = false);
  void record_visible(Recording& recording, const DeviceGroup& group);
  // `beside` records what needs no more than they do, and runs beside them. `rows`: of crossed pixels, too.
  void record_values(Recording& recording, bool rows, const std::function<void()>& beside = {});
  // The partials of the pixels that see the group, `planes` of them per channel. To be in a parallel group.
  void record_rows(Recording& recording, const DeviceGroup& group, int planes);
  bool has_rows(const OutputChannels& output, int surface) const;
  bool all_have_rows(const DeviceGroup& group) const;

  // record_images.cpp
  void record_images(Recording& recording, Kind kind);
  void record_image(Recording& recording, bool kept);
  void record_planes(Recording& recording, bool kept);
  void record_ids(Recording& recording, bool kept);
  // One launch for each output, where nothing comes between what a pixel sees and its columns of J: all that
  // there is, if the primitive is no mesh.
  bool draws_at_once() const;
  void record_drawing(Recording& recording, Kind kind);
  void make_image_results(bool kept);
  void make_row_results(bool kept);
  runtime::DeviceArray<float> image_target(bool kept) const;
  runtime::DeviceArray<float> planes_target(bool kept) const;
  runtime::DeviceArray<std::int32_t> ids_target(bool kept) const;
  void make_targets(Kind kind);
  void set_mixing();
  std::vector<std::int64_t> image_strides() const;
  // Whether rows have more than what their planes hold.
  bool keeps_extras() const { return crossed_ != nullptr && !dense_rows_; }
  void fetch_image(Span<float> image);
  void fetch_rows(RowStorage& rows);

  // record_sums.cpp
  // Which loss that is in a Key.
  int take_loss(const KernelLoss& loss);
  void record_residuals(Recording& recording, int loss, runtime::DeviceBuffer<float>& costs);
  void record_row_sums(Recording& recording, runtime::DeviceBuffer<float>& costs);
  void record_tile_sums(Recording& recording, const Piece<float>& sums);
  void record_cost(Recording& recording, const Key& key);
  void record_products(Recording& recording, const Key& key);
  // Of group g: its rows, where that was not done yet; its entries' sums by columns; its primitives' in
  // parts; all.
  void clear_rows(Recording& recording, std::size_t g);
  void record_group_rows(Recording& recording, std::size_t g);
  void record_entries(Recording& recording, std::size_t g);
  void record_primitives(Recording& recording, std::size_t g);
  void record_parts(Recording& recording, std::size_t g);
  int widest_of(std::size_t g) const;
  int places_of(std::size_t g) const;
  int parts_of(std::size_t g) const;
  bool adds_parts(std::size_t g) const;
  void make_sums();
  // Whether pixels may depend on several primitives.
  bool couples() const { return crossed_ != nullptr && (groups_.size() > 1 || groups_[0].blocks() > 1); }
  void start(const Observation& observation, Key key);
  void release_observed();
  template <class F>
  void while_observed(F&& work);
  // After an evaluation with an observation: throws if that turned out to be wrong.
  void finish_observed();
  Totals totals() const;

  const std::shared_ptr<runtime::Device> device_;
  runtime::Stream stream_ = 0;
  const kernels::DeviceTable& kernels_;
  std::vector<std::unique_ptr<DeviceGroup>> device_groups_;
  Upload upload_;
  Zeros zeros_;
  Download results_;
  Piece<float> tile_sums_, shared_sums_;  // [tiles, 3]
  std::vector<float> mixing_;             // S of a scene of one primitive: slots x P
  Piece<float> uploaded_mixing_;
  KernelLoss loss_;  // of the evaluation at hand
  module::LossOnDevice loss_model_;
  DeviceObservation observation_;

  // Blocks. What only some kinds of evaluation need is there from the first of them on.
  runtime::DeviceBuffer<float> inverse_depth_, rendered_, rows_, residual_, robust_, costs_, remembered_;
  runtime::DeviceBuffer<std::int32_t> ids_;
  runtime::DeviceBuffer<float> line_sums_;               // 3 for each row of pixels of each block
  runtime::DeviceBuffer<float> columns_, partial_sums_;  // of one group at a time
  Download group_sums_, image_results_, row_results_;
  std::vector<Piece<float>> group_pieces_;  // a record for each of a group's blocks
  Piece<float> image_piece_, planes_piece_;
  Piece<std::int32_t> ids_piece_;
  Piece<std::int32_t> negative_weight_;
  // What stays on the device: where the evaluation at hand puts it.
  const std::shared_ptr<Results> kept_;
  std::shared_ptr<const Result> kept_image_;
  std::shared_ptr<DeviceRows> kept_rows_;
  struct Turns {
    std::array<std::array<runtime::Address, 2>, 2> targets{};  // of the image and the rows, of each turn
    int last = 0;
  };
  std::map<Kind, Turns> turns_;
  std::vector<double> local_;
  Key started_{};

  std::unique_ptr<Crossed> crossed_;  // with exact boundaries
  Couplings couplings_;
  std::vector<int> all_tiles_;

  std::map<Key, std::unique_ptr<Recording>> recordings_;  // last: they refer to all of the above
};

}  // namespace diffrt::renderer::gpu
