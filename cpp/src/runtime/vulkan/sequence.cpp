#include "runtime/vulkan/sequence.hpp"

#include <algorithm>
#include <limits>
#include <stdexcept>

namespace diffrt::runtime::vulkan {
namespace {

constexpr VkFlags working_stages = VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT | VK_PIPELINE_STAGE_TRANSFER_BIT;
constexpr VkFlags writes = VK_ACCESS_SHADER_WRITE_BIT | VK_ACCESS_TRANSFER_WRITE_BIT;
constexpr VkFlags reads =
    VK_ACCESS_SHADER_READ_BIT | VK_ACCESS_TRANSFER_READ_BIT | VK_ACCESS_UNIFORM_READ_BIT;

const Block& block_of(const Allocation& allocation) { return *static_cast<const Block*>(allocation.owner); }

VkDescriptorBufferInfo place(const Allocation& allocation, Address address, std::size_t bytes) {
  const Block& block = block_of(allocation);
  return {block.buffer, address - block.base, bytes};
}

}  // namespace

VulkanSequence::VulkanSequence(const std::shared_ptr<VulkanDevice>& device)
    : Sequence(device, false, device->logical().limits().maxComputeWorkGroupCount[0]),
      device_(*device),
      logical_(device->logical()) {}

VulkanSequence::~VulkanSequence() {
  if (device_.forked()) return;
  wait_in_destructor();
  const DeviceFunctions& vk = logical_.vk();
  if (queries_ != nullptr) vk.vkDestroyQueryPool(logical_.handle(), queries_, nullptr);
  if (fence_ != nullptr) vk.vkDestroyFence(logical_.handle(), fence_, nullptr);
  if (pool_ != nullptr) vk.vkDestroyCommandPool(logical_.handle(), pool_, nullptr);
  if (descriptors_ != nullptr) vk.vkDestroyDescriptorPool(logical_.handle(), descriptors_, nullptr);
}

void VulkanSequence::build() {
  for (const LaunchEntry& launch : launches_) pipelines_.push_back(&device_.pipeline(*launch.code));
  create_objects();
  create_sets();
  for (std::size_t i = 0; i < launches_.size(); ++i) write_set(i);
  record();
}

void VulkanSequence::create_objects() {
  const DeviceFunctions& vk = logical_.vk();
  const VkCommandPoolCreateInfo pool{VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO, nullptr, 0,
                                     logical_.physical().queue_family};
  logical_.check(vk.vkCreateCommandPool(logical_.handle(), &pool, nullptr, &pool_), "vkCreateCommandPool");
  const VkCommandBufferAllocateInfo commands{VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO, nullptr, pool_,
                                             VK_COMMAND_BUFFER_LEVEL_PRIMARY, 1};
  logical_.check(vk.vkAllocateCommandBuffers(logical_.handle(), &commands, &commands_),
                 "vkAllocateCommandBuffers");
  const VkFenceCreateInfo fence{VK_STRUCTURE_TYPE_FENCE_CREATE_INFO, nullptr, 0};
  logical_.check(vk.vkCreateFence(logical_.handle(), &fence, nullptr, &fence_), "vkCreateFence");
  if (!measured_) return;
  if (!logical_.physical().has_timestamps) throw DeviceError(logical_.label() + ": its queue has no clock");
  const VkQueryPoolCreateInfo queries{
      VK_STRUCTURE_TYPE_QUERY_POOL_CREATE_INFO, nullptr, 0, VK_QUERY_TYPE_TIMESTAMP, 2, 0};
  logical_.check(vk.vkCreateQueryPool(logical_.handle(), &queries, nullptr, &queries_), "vkCreateQueryPool");
}

void VulkanSequence::create_sets() {
  if (launches_.empty()) return;
  VkDescriptorPoolSize sizes[2] = {{VK_DESCRIPTOR_TYPE_STORAGE_BUFFER, 1},
                                   {VK_DESCRIPTOR_TYPE_UNIFORM_BUFFER, 1}};
  std::vector<VkDescriptorSetLayout> layouts;
  for (const Pipeline* pipeline : pipelines_) {
    layouts.push_back(pipeline->set_layout());
    sizes[0].descriptorCount += pipeline->storage_buffers();
    sizes[1].descriptorCount += pipeline->uniform_buffers();
  }
  VkDescriptorPoolCreateInfo pool{};
  pool.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_POOL_CREATE_INFO;
  pool.maxSets = static_cast<std::uint32_t>(layouts.size());
  pool.poolSizeCount = 2;
  pool.pPoolSizes = sizes;
  const DeviceFunctions& vk = logical_.vk();
  logical_.check(vk.vkCreateDescriptorPool(logical_.handle(), &pool, nullptr, &descriptors_),
                 "vkCreateDescriptorPool");
  const VkDescriptorSetAllocateInfo info{VK_STRUCTURE_TYPE_DESCRIPTOR_SET_ALLOCATE_INFO, nullptr,
                                         descriptors_, pool.maxSets, layouts.data()};
  sets_.resize(layouts.size());
  logical_.check(vk.vkAllocateDescriptorSets(logical_.handle(), &info, sets_.data()),
                 "vkAllocateDescriptorSets");
}

void VulkanSequence::write_set(std::size_t index) {
  const LaunchEntry& launch = launches_[index];
  const KernelCode& code = *launch.code;
  std::vector<VkDescriptorBufferInfo> buffers;
  std::vector<VkWriteDescriptorSet> descriptors;
  buffers.reserve(launch.arrays.size() + 2);  // its elements are pointed to
  const auto add = [&](std::int32_t binding, VkDescriptorType type, const VkDescriptorBufferInfo& info) {
    if (binding < 0) return;
    buffers.push_back(info);
    descriptors.push_back({VK_STRUCTURE_TYPE_WRITE_DESCRIPTOR_SET, nullptr, sets_[index],
                           static_cast<std::uint32_t>(binding), 0, 1, type, nullptr, &buffers.back(),
                           nullptr});
  };
  const Allocation& blocks = *argument_memory_;
  add(code.argument_binding,
      code.argument_is_uniform ? VK_DESCRIPTOR_TYPE_UNIFORM_BUFFER : VK_DESCRIPTOR_TYPE_STORAGE_BUFFER,
      place(blocks, blocks.address + launch.block, code.argument_bytes));
  const std::size_t bounds_bytes = std::max(code.begin_offset, code.end_offset) + std::size_t{4};
  add(code.bounds_binding, VK_DESCRIPTOR_TYPE_STORAGE_BUFFER,
      launch.bounds_allocation != nullptr
          ? place(*launch.bounds_allocation, launch.bounds_address, bounds_bytes)
          : place(blocks, blocks.address + launch.bounds, bounds_bytes));
  for (const BoundArray& bound : launch.arrays) {
    if (bound.argument->binding < 0) continue;
    if (bound.allocation == nullptr) {
      const Allocation& nothing = device_.nothing();
      add(bound.argument->binding, VK_DESCRIPTOR_TYPE_STORAGE_BUFFER, place(nothing, nothing.address, 4));
      continue;
    }
    if (bound.bytes > logical_.limits().maxStorageBufferRange) {
      throw DeviceMemoryError(logical_.label() + ": '" + code.name + "' needs " + bytes_text(bound.bytes) +
                              " in one array ('" + bound.argument->name + "'), the device allows " +
                              bytes_text(logical_.limits().maxStorageBufferRange) +
                              ". Use a smaller image or fewer outputs, another device, or device=\"cpu\".");
    }
    add(bound.argument->binding, VK_DESCRIPTOR_TYPE_STORAGE_BUFFER,
        place(*bound.allocation, bound.address, bound.bytes));
  }
  logical_.vk().vkUpdateDescriptorSets(logical_.handle(), static_cast<std::uint32_t>(descriptors.size()),
                                       descriptors.data(), 0, nullptr);
}

void VulkanSequence::rebind(std::size_t launch) {
  write_set(launch);
  stale_ = true;
}

void VulkanSequence::record() {
  const DeviceFunctions& vk = logical_.vk();
  const VkCommandBufferBeginInfo begin{VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO, nullptr, 0, nullptr};
  logical_.check(vk.vkBeginCommandBuffer(commands_, &begin), "vkBeginCommandBuffer");
  const auto barrier = [&](VkFlags stages, VkFlags accesses) {
    const VkMemoryBarrier memory{VK_STRUCTURE_TYPE_MEMORY_BARRIER, nullptr, writes, accesses};
    vk.vkCmdPipelineBarrier(commands_, working_stages, stages, 0, 1, &memory, 0, nullptr, 0, nullptr);
  };
  if (measured_) {
    vk.vkCmdResetQueryPool(commands_, queries_, 0, 2);
    vk.vkCmdWriteTimestamp(commands_, VK_PIPELINE_STAGE_TOP_OF_PIPE_BIT, queries_, 0);
  }
  int step = -1;
  for (const Entry& entry : entries_) {
    // The first barrier orders this run after what was submitted before.
    if (entry.step != step) barrier(working_stages, reads | writes);
    step = entry.step;
    if (const auto* launch = std::get_if<std::size_t>(&entry.what)) {
      record_launch(*launch);
    } else if (const auto* copy = std::get_if<CopyEntry>(&entry.what)) {
      record_copy(*copy);
    } else {
      record_fill(std::get<FillEntry>(entry.what));
    }
  }
  if (measured_) vk.vkCmdWriteTimestamp(commands_, VK_PIPELINE_STAGE_BOTTOM_OF_PIPE_BIT, queries_, 1);
  barrier(VK_PIPELINE_STAGE_HOST_BIT, VK_ACCESS_HOST_READ_BIT);
  logical_.check(vk.vkEndCommandBuffer(commands_), "vkEndCommandBuffer");
  stale_ = false;
}

void VulkanSequence::record_launch(std::size_t index) {
  const DeviceFunctions& vk = logical_.vk();
  const Pipeline& pipeline = *pipelines_[index];
  vk.vkCmdBindPipeline(commands_, VK_PIPELINE_BIND_POINT_COMPUTE, pipeline.handle());
  vk.vkCmdBindDescriptorSets(commands_, VK_PIPELINE_BIND_POINT_COMPUTE, pipeline.layout(), 0, 1,
                             &sets_[index], 0, nullptr);
  vk.vkCmdDispatch(commands_, launches_[index].groups, 1, 1);
}

void VulkanSequence::record_copy(const CopyEntry& copy) {
  const VkDescriptorBufferInfo from = place(*copy.from, copy.from_address, copy.bytes),
                               to = place(*copy.to, copy.to_address, copy.bytes);
  const VkBufferCopy region{from.offset, to.offset, copy.bytes};
  logical_.vk().vkCmdCopyBuffer(commands_, from.buffer, to.buffer, 1, &region);
}

void VulkanSequence::record_fill(const FillEntry& fill) {
  const VkDescriptorBufferInfo to = place(*fill.to, fill.address, fill.count * 4);
  logical_.vk().vkCmdFillBuffer(commands_, to.buffer, to.offset, to.range, fill.word);
}

void VulkanSequence::submit(Stream stream) {
  if (stream != 0) throw std::logic_error("Vulkan has no streams");
  wait();  // a command buffer runs once at a time
  const DeviceFunctions& vk = logical_.vk();
  if (stale_) {
    logical_.check(vk.vkResetCommandPool(logical_.handle(), pool_, 0), "vkResetCommandPool");
    record();
  }
  dirty_begin_ = dirty_end_ = 0;  // the host wrote the blocks in place
  logical_.check(vk.vkResetFences(logical_.handle(), 1, &fence_), "vkResetFences");
  logical_.submit(commands_, fence_);
}

void VulkanSequence::wait_for_run() {
  constexpr std::uint64_t forever = std::numeric_limits<std::uint64_t>::max();
  logical_.check(logical_.vk().vkWaitForFences(logical_.handle(), 1, &fence_, 1, forever), "vkWaitForFences");
}

double VulkanSequence::measured_seconds() {
  std::uint64_t ticks[2] = {};
  logical_.check(
      logical_.vk().vkGetQueryPoolResults(logical_.handle(), queries_, 0, 2, sizeof ticks, ticks,
                                          sizeof *ticks, VK_QUERY_RESULT_64_BIT | VK_QUERY_RESULT_WAIT_BIT),
      "vkGetQueryPoolResults");
  return static_cast<double>(ticks[1] - ticks[0]) * 1e-9 *
         static_cast<double>(logical_.limits().timestampPeriod);
}

}  // namespace diffrt::runtime::vulkan
