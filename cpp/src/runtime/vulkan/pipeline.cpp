#include "runtime/vulkan/pipeline.hpp"

namespace diffrt::runtime::vulkan {

Pipeline::Pipeline(LogicalDevice& device, VkPipelineCache cache, const KernelCode& code) : device_(device) {
  try {
    create_layouts(code);
    check_limits(code);
    create(cache, code);
  } catch (...) {
    destroy();
    throw;
  }
}

Pipeline::~Pipeline() { destroy(); }

void Pipeline::destroy() noexcept {
  const DeviceFunctions& vk = device_.vk();
  if (handle_ != nullptr) vk.vkDestroyPipeline(device_.handle(), handle_, nullptr);
  if (layout_ != nullptr) vk.vkDestroyPipelineLayout(device_.handle(), layout_, nullptr);
  if (set_layout_ != nullptr) vk.vkDestroyDescriptorSetLayout(device_.handle(), set_layout_, nullptr);
}

void Pipeline::create_layouts(const KernelCode& code) {
  std::vector<VkDescriptorSetLayoutBinding> bindings;
  const auto add = [&](std::int32_t binding, VkDescriptorType type) {
    if (binding < 0) return;
    bindings.push_back({static_cast<std::uint32_t>(binding), type, 1, VK_SHADER_STAGE_COMPUTE_BIT, nullptr});
    ++(type == VK_DESCRIPTOR_TYPE_UNIFORM_BUFFER ? uniform_buffers_ : storage_buffers_);
  };
  add(code.argument_binding,
      code.argument_is_uniform ? VK_DESCRIPTOR_TYPE_UNIFORM_BUFFER : VK_DESCRIPTOR_TYPE_STORAGE_BUFFER);
  add(code.bounds_binding, VK_DESCRIPTOR_TYPE_STORAGE_BUFFER);
  for (std::size_t i = 0; i < code.argument_count; ++i)
    add(code.arguments[i].binding, VK_DESCRIPTOR_TYPE_STORAGE_BUFFER);

  VkDescriptorSetLayoutCreateInfo set{};
  set.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_LAYOUT_CREATE_INFO;
  set.bindingCount = static_cast<std::uint32_t>(bindings.size());
  set.pBindings = bindings.data();
  device_.check(device_.vk().vkCreateDescriptorSetLayout(device_.handle(), &set, nullptr, &set_layout_),
                "vkCreateDescriptorSetLayout");
  VkPipelineLayoutCreateInfo layout{};
  layout.sType = VK_STRUCTURE_TYPE_PIPELINE_LAYOUT_CREATE_INFO;
  layout.setLayoutCount = 1;
  layout.pSetLayouts = &set_layout_;
  device_.check(device_.vk().vkCreatePipelineLayout(device_.handle(), &layout, nullptr, &layout_),
                "vkCreatePipelineLayout");
}

void Pipeline::check_limits(const KernelCode& code) const {
  const VkPhysicalDeviceLimits& limits = device_.limits();
  const auto check = [&](std::uint32_t needed, std::uint32_t most, const char* what) {
    if (needed <= most) return;
    throw DeviceError(device_.label() + ": the kernel '" + code.name + "' needs " + std::to_string(needed) +
                      " " + what + ", the device allows " + std::to_string(most) +
                      ". Use another device, or device=\"cpu\".");
  };
  check(storage_buffers_, limits.maxPerStageDescriptorStorageBuffers, "arrays");
  check(code.block, limits.maxComputeWorkGroupSize[0], "threads in a group");
  check(code.block, limits.maxComputeWorkGroupInvocations, "threads in a group");
  if (code.argument_is_uniform)
    check(code.argument_bytes, limits.maxUniformBufferRange, "bytes of arguments");
}

void Pipeline::create(VkPipelineCache cache, const KernelCode& code) {
  const DeviceFunctions& vk = device_.vk();
  const std::vector<unsigned char> words = expand(code);
  VkShaderModuleCreateInfo shader{};
  shader.sType = VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO;
  shader.codeSize = code.size;
  shader.pCode = reinterpret_cast<const std::uint32_t*>(words.data());
  VkShaderModule module = nullptr;
  device_.check(vk.vkCreateShaderModule(device_.handle(), &shader, nullptr, &module), "vkCreateShaderModule");
  VkComputePipelineCreateInfo info{};
  info.sType = VK_STRUCTURE_TYPE_COMPUTE_PIPELINE_CREATE_INFO;
  info.stage.sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO;
  info.stage.stage = VK_SHADER_STAGE_COMPUTE_BIT;
  info.stage.module = module;
  info.stage.pName = code.entry;
  info.layout = layout_;
  info.basePipelineIndex = -1;
  const VkResult result = vk.vkCreateComputePipelines(device_.handle(), cache, 1, &info, nullptr, &handle_);
  vk.vkDestroyShaderModule(device_.handle(), module, nullptr);
  device_.check(result, (std::string("vkCreateComputePipelines of '") + code.name + "'").c_str());
}

}  // namespace diffrt::runtime::vulkan
