;; The bytes of this module are in newline-counter.ts; test/storage/newline-counter.test.ts makes them from this text.
(module
  (memory (export "memory") 32 32)
  ;; How many line feeds there are from $at up to $end, which is so many times 16 bytes later, at least once.
  (func (export "count") (param $at i32) (param $end i32) (result i32)
    (local $count i32)
    loop $vector
      local.get $count
      local.get $at
      v128.load
      i32.const 10
      i8x16.splat
      i8x16.eq
      i8x16.bitmask
      i32.popcnt
      i32.add
      local.set $count
      local.get $at
      i32.const 16
      i32.add
      local.tee $at
      local.get $end
      i32.lt_u
      br_if $vector
    end
    local.get $count))
