// Text of a manifest: UTF-8 without control characters, and names that are identifiers of Python's.
#pragma once

#include <string>
#include <string_view>

namespace diffrt::module {

// What is wrong with it; nullptr: nothing.
const char* fault_of_text(std::string_view text);
// Of text that is UTF-8. Letters beyond ASCII are not looked up; spaces and signs that cannot be seen are no
// letters.
const char* fault_of_name(std::string_view name);

// Its begin, for a message.
std::string shortened(std::string_view text);

}  // namespace diffrt::module
