# Lets the ordinary CMakeLists.txt find ROS 2 when it lives in pip wheels instead of /opt/ros.
# Only the wheel build loads this file (CMAKE_PROJECT_INCLUDE in pyproject.toml).

# The build environment of pip holds the wheels: <prefix>/lib/pythonX.Y/site-packages/rosidl_pycommon.
# Prefer the active interpreter, so that generated code matches the Python it will run in.
find_package(Python3 REQUIRED COMPONENTS Interpreter Development NumPy)
execute_process(
  COMMAND "${Python3_EXECUTABLE}" -c
    "import pathlib, rosidl_pycommon; print(pathlib.Path(rosidl_pycommon.__file__).resolve().parents[4])"
  OUTPUT_VARIABLE _ros_prefix OUTPUT_STRIP_TRAILING_WHITESPACE RESULT_VARIABLE _missing)
if(_missing)
  message(FATAL_ERROR "rosidl_pycommon is not importable by ${Python3_EXECUTABLE}: install the ros-* wheels, or build with colcon in a ROS 2 workspace")
endif()
list(PREPEND CMAKE_PREFIX_PATH "${_ros_prefix}")
# The generators are found through the ament index at configure time.
if(DEFINED ENV{AMENT_PREFIX_PATH})
  set(ENV{AMENT_PREFIX_PATH} "${_ros_prefix}:$ENV{AMENT_PREFIX_PATH}")
else()
  set(ENV{AMENT_PREFIX_PATH} "${_ros_prefix}")
endif()

# The wheels' exported targets carry absolute include directories of the machine they were built on.
function(_drop_missing_include_directories)
  get_property(_targets DIRECTORY PROPERTY IMPORTED_TARGETS)
  foreach(_target IN LISTS _targets)
    get_target_property(_dirs ${_target} INTERFACE_INCLUDE_DIRECTORIES)
    if(_dirs)
      set(_kept "")
      foreach(_dir IN LISTS _dirs)
        if(_dir MATCHES "^\\$<" OR EXISTS "${_dir}")
          list(APPEND _kept "${_dir}")
        endif()
      endforeach()
      set_property(TARGET ${_target} PROPERTY INTERFACE_INCLUDE_DIRECTORIES "${_kept}")
    endif()
  endforeach()
endfunction()
cmake_language(DEFER CALL _drop_missing_include_directories)
