// Gives out large objects, and takes them back when the last who holds one goes, from whichever thread: fresh
// pages cost more than what is written to them.
#pragma once

#include <memory>
#include <mutex>
#include <vector>

#include "runtime/fork.hpp"

namespace diffrt::runtime {

template <class T>
class RecyclingPool : public std::enable_shared_from_this<RecyclingPool<T>> {
 public:
  // One that was given back, as it was left, or what make() returns, a unique_ptr.
  template <class F>
  std::shared_ptr<T> take(F&& make) {
    std::unique_ptr<T> object;
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      if (!idle_.empty()) {
        object = std::move(idle_.back());
        idle_.pop_back();
      }
    }
    if (object == nullptr) object = make();
    const std::weak_ptr<RecyclingPool> pool = this->weak_from_this();
    return std::shared_ptr<T>(object.release(), [pool](T* used) {
      std::unique_ptr<T> owned(used);
      if (const std::shared_ptr<RecyclingPool> home = pool.lock()) home->give_back(std::move(owned));
    });
  }
  // A child that fork() made needs one of its own: another thread may have been here.
  bool is_here() const { return generation_ == process_generation(); }

 private:
  void give_back(std::unique_ptr<T> object) {
    if (!is_here()) return;
    // Two suffice: a loop that binds the next result to the same names holds the last one while it computes
    // the next.
    const std::lock_guard<std::mutex> lock(mutex_);
    if (idle_.size() < 2) idle_.push_back(std::move(object));
  }

  const int generation_ = process_generation();
  std::mutex mutex_;
  std::vector<std::unique_ptr<T>> idle_;
};

}  // namespace diffrt::runtime
