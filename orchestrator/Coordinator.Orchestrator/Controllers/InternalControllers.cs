namespace Coordinator.Orchestrator.Controllers;

using System.Reflection;
using Microsoft.AspNetCore.Mvc;
using Microsoft.AspNetCore.Mvc.ApplicationParts;
using Microsoft.AspNetCore.Mvc.Controllers;

/// <summary>Finds the controllers of this program, which are not public: nothing of a program is.</summary>
internal sealed class InternalControllers : IApplicationFeatureProvider<ControllerFeature>
{
    public void PopulateFeature(IEnumerable<ApplicationPart> parts, ControllerFeature feature)
    {
        var own = typeof(InternalControllers).Assembly.DefinedTypes;
        foreach (var controller in own.Where(type => type.IsDefined(typeof(ApiControllerAttribute))))
        {
            feature.Controllers.Add(controller);
        }
    }
}
